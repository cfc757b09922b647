"""`make mutants`: how many changes of the code the tests notice.

python -m tools.mutants [--layer roles]… [--file PATH]… [--count 150] [--seed N] [--survivors SESSION]
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from cosmic_ray.work_item import MutationSpec

from environment.load import ROOT
from ops.steps import image
from toolchain.cache import Cache
from tools import evidence
from tools.mutants import mutations, report, scratch, trials
from tools.mutants.selection import Selection
from tools.mutants.workers import running

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

COUNT = 150


def sources(root: Path, layer: str) -> list[str]:
    """The layer's Python files."""
    return [path for path in scratch.files(root) if path.startswith(f"{layer}/") and path.endswith(".py")]


def possible(root: Path, paths: Iterable[str]) -> list[MutationSpec]:
    """Every change of these files."""
    return [spec for path in sorted(paths) for spec in mutations.specs(root, path)]


def drawn(root: Path, specs: list[MutationSpec], count: int | None, seed: str) -> list[MutationSpec]:
    """`count` of them at random, or all; those that change nothing are drawn again."""
    lots = list(specs)
    random.Random(seed).shuffle(lots)
    chosen: list[MutationSpec] = []
    for spec in lots:
        if len(chosen) == count:
            break
        if mutations.mutated(root, spec) is not None:
            chosen.append(spec)
    return chosen


@app.command()
def main(
    layer: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(scratch.LAYERS)}; all when none is named")
    ] = None,
    file: Annotated[list[str] | None, typer.Option(help="every change of this file, or `--count` of them")] = None,
    count: Annotated[int | None, typer.Option(min=1, help=f"changes drawn from each layer [{COUNT}]")] = None,
    seed: Annotated[int | None, typer.Option(help="what chance begins with [made from the commit]")] = None,
    workers: Annotated[int, typer.Option(min=1)] = 2,
    survivors: Annotated[Path | None, typer.Option(help="a session, whose survivors are tried again")] = None,
) -> None:
    """Exit status 1 when an aim is missed. The draw from all layers is kept below docs/evidence."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # The scratch checkouts go too.
    seed = int(evidence.commit()[:8], 16) if seed is None else seed
    print(f"seed {seed}", flush=True)
    choice: dict[str, list[MutationSpec]] = {}
    complete = False
    if survivors:
        for spec in trials.remaining(ROOT, survivors):
            choice.setdefault(spec.module_path.parts[0], []).append(spec)
    elif file:
        for path in file:
            choice.setdefault(path.split("/")[0], []).extend(
                drawn(ROOT, possible(ROOT, [path]), count, f"{path} {seed}")
            )
    else:
        complete = not layer
        for name in layer or scratch.LAYERS:
            choice[name] = drawn(ROOT, possible(ROOT, sources(ROOT, name)), count or COUNT, f"{name} {seed}")
    layers = results(choice, workers)
    for result in layers:
        print(result.text(), flush=True)
    if complete:
        keep(layers, seed, count or COUNT, time.monotonic() - began)
        raise typer.Exit(0 if all(result.reached for result in layers) else 1)


def results(choice: dict[str, list[MutationSpec]], workers: int) -> list[report.Layer]:
    """Layer by layer; a session for each, which an interrupted run finds again while the code is the same."""
    if any(trials.TESTS[name] != trials.FAST for name in choice):
        # Built once, and from the code as it is.
        os.environ.setdefault("KEEL_TEST_IMAGE", image.main("dev"))
    cache = Cache.of(os.environ).root / "mutants"
    cache.mkdir(parents=True, exist_ok=True)
    code = scratch.digest(ROOT, trials.decides(ROOT))
    known = report.reviews(report.REVIEWED.read_text())
    layers = []
    with running(ROOT, workers) as crew:
        for name, specs in choice.items():
            session = cache / f"{name}-{_digest(specs)}-{code}.sqlite"
            records = trials.recorded(crew, ROOT, cache / "records", trials.asked(ROOT, name))
            print(f"{name}: {len(specs)} changes, session {session}", flush=True)
            outcomes = trials.tried(crew, session, specs, Selection(records))
            layers.append(report.Layer(name, len(possible(ROOT, sources(ROOT, name))), outcomes, known))
    return layers


def keep(layers: list[report.Layer], seed: int, count: int, seconds: float) -> None:
    """The evidence of a whole draw; of changed files too, which its name then says."""
    changed = subprocess.check_output(["git", "status", "--porcelain", *scratch.LAYERS, "tests"], cwd=ROOT, text=True)
    about = evidence.circumstances(f"python -m tools.mutants --count {count} --seed {seed}")
    about |= {"seed": seed, "minutes of the last run": round(seconds / 60, 1)}
    about |= {"layers": {layer.name: layer.figures() for layer in layers}}
    about |= {"survivors": [survivor for layer in layers for survivor in layer.survivors()]}
    name = f"mutants-{evidence.commit()}{'-changed' if changed else ''}.json"
    evidence.keep(evidence.FOLDER / name, about)


def _digest(specs: list[MutationSpec]) -> str:
    """A name for these changes: the same draw of the same code is the same session."""
    total = hashlib.sha256("\n".join(f"{s.module_path} {s.operator_name} {s.occurrence}" for s in specs).encode())
    return f"{len(specs)}-{total.hexdigest()[:8]}"


if __name__ == "__main__":
    app()
