"""`make mutants`: how many changes of the code the tests notice.

python -m tools.mutants [--layer roles]… [--file PATH]… [--count 150] [--seed N] [--survivors SESSION]
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from environment.load import ROOT
from tools import evidence
from tools.mutants import mutations, scratch
from tools.mutants.report import Outcome, wilson
from tools.mutants.selection import Record, Selection
from tools.mutants.workers import Worker, running, spread
from tools.toolchain.cache import Cache

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

FAST = ("tests/unit", "tests/components", "tests/roles")
DATABASE = ("tests/db", "tests/test_")
TESTS = {"environment": FAST, "roles": FAST, "ops": (*FAST, *DATABASE), "db": (*FAST, *DATABASE)}
"""Which tests are asked about a layer: those of `make test` that need no environment."""

DECIDES = (
    *(f"{folder}/" for folder in (*scratch.LAYERS, "components", "migrations", "stacks", "tests")),
    "conftest.py", "pyproject.toml", "requirements.txt", "tools/mutants/plugin.py",
)  # fmt: skip
"""What a record depends on, its own test file apart."""

LOOSE = 60
"""Seconds that any trial may take; one with long tests may take ten times as long as they took."""


def sources(layer: str) -> list[str]:
    """The layer's Python files."""
    return [path for path in scratch.files(ROOT) if path.startswith(f"{layer}/") and path.endswith(".py")]


def drawn(root: Path, paths: Iterable[str], count: int | None, seed: str) -> list[MutationSpec]:
    """`count` changes by lot, or all."""
    possible = [spec for path in sorted(paths) for spec in mutations.specs(root, path)]
    random.Random(seed).shuffle(possible)
    chosen: list[MutationSpec] = []
    for spec in possible:
        if count is not None and len(chosen) == count:
            break
        if mutations.mutated(root, spec) is not None:
            chosen.append(spec)
    return chosen


@app.command()
def main(
    layer: Annotated[list[str] | None, typer.Option(help="environment, roles, ops, db; all when none is named")] = None,
    file: Annotated[list[str] | None, typer.Option(help="every change of this file, or `--count` of them")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="changes drawn from each layer [150]")] = None,
    seed: Annotated[int | None, typer.Option(help="what chance begins with [made from the commit]")] = None,
    workers: Annotated[int, typer.Option(min=1)] = 2,
    survivors: Annotated[Path | None, typer.Option(help="a session, whose survivors are tried again")] = None,
) -> None:
    """Exit status 1 when an aim is missed."""
    cache = Cache.of(os.environ).root / "mutants"
    cache.mkdir(parents=True, exist_ok=True)
    seed = int(evidence.commit()[:8], 16) if seed is None else seed
    print(f"seed {seed}", flush=True)
    draws: dict[str, list[MutationSpec]] = {}
    if survivors:
        for spec in remaining(ROOT, survivors):
            draws.setdefault(Path(spec.module_path).parts[0], []).append(spec)
    elif file:
        for path in file:
            draws.setdefault(path.split("/")[0], []).extend(drawn(ROOT, [path], count, f"{path} {seed}"))
    else:
        for name in layer or list(scratch.LAYERS):
            draws[name] = drawn(ROOT, sources(name), count or 150, f"{name} {seed}")
    tree = scratch.digest(ROOT, scratch.files(ROOT))
    with running(ROOT, workers) as crew:
        for name, specs in draws.items():
            session = cache / f"{name}-{_words(specs)}-{tree}.sqlite"
            records = recorded(crew, cache, [p for p in scratch.files(ROOT) if _asked(name, p)])
            print(f"{name}: {len(specs)} changes, session {session}", flush=True)
            outcomes = tried(crew, session, specs, Selection(records))
            for outcome in outcomes:
                if not outcome.killed:
                    print(outcome.text())
            killed = sum(outcome.killed for outcome in outcomes)
            low, high = wilson(killed, len(outcomes))
            print(f"{name}: {killed} of {len(outcomes)} killed, 95 % interval {low:.1%} to {high:.1%}", flush=True)


def remaining(root: Path, session: Path) -> list[MutationSpec]:
    """Those of a session's changes that no test noticed, found again in the code of now."""
    database = WorkDB(session, WorkDB.Mode.open)
    done = [(item.mutations[0], result) for item, result in database.completed_work_items]
    database.close()
    found = []
    for spec, result in done:
        if result.test_outcome == TestOutcome.SURVIVED:
            same = [
                now
                for now in mutations.specs(root, str(spec.module_path))
                if now.operator_name == spec.operator_name and mutations.difference(root, now) == result.diff
            ]
            if same:
                found.append(min(same, key=lambda now: abs(now.start_pos[0] - spec.start_pos[0])))
            else:
                print(f"no longer there: {spec.module_path}:{spec.start_pos[0]}\n{result.diff}")
    return found


def _words(specs: list[MutationSpec]) -> str:
    """A name for these changes: the same draw of the same code is the same session."""
    total = hashlib.sha256("\n".join(f"{s.module_path} {s.operator_name} {s.occurrence}" for s in specs).encode())
    return f"{len(specs)}-{total.hexdigest()[:8]}"


def _asked(layer: str, path: str) -> bool:
    return path.startswith(TESTS[layer]) and Path(path).name.startswith("test_") and path.endswith(".py")


def recorded(crew: list[Worker], cache: Path, files: list[str]) -> list[Record]:
    """What each test file runs; those that are not known yet are recorded now."""
    known = [path for path in scratch.files(ROOT) if path.startswith(DECIDES) and not path.endswith(".md")]
    rest = scratch.digest(ROOT, [path for path in known if not Path(path).name.startswith("test_")])
    folder = cache / "records" / rest
    folder.mkdir(parents=True, exist_ok=True)
    kept = {file: folder / f"{scratch.digest(ROOT, [file])}.json" for file in files}
    unknown = [file for file in files if not kept[file].exists()]
    if unknown:
        print(f"recording what {len(unknown)} test files run", flush=True)
    if any(file.startswith(DATABASE) for file in unknown):
        subprocess.run(["docker", "info"], check=True, stdout=subprocess.DEVNULL)

    def record(worker: Worker, file: str) -> None:
        answer = worker.ask({"record": file}, 900)
        if "tests" not in answer:
            raise RuntimeError(f"{file} could not be recorded:\n{worker.log[-3000:]}")
        part = kept[file].with_suffix(".part")
        part.write_text((worker.root.parent / "out.json").read_text())
        part.replace(kept[file])
        for failed in answer["failed"]:
            print(f"  left out, it fails without a change: {failed}", flush=True)

    spread(crew, unknown, record)
    return [Record.load(file, path) for file, path in kept.items()]


def tried(crew: list[Worker], session: Path, specs: list[MutationSpec], selection: Selection) -> list[Outcome]:
    """The outcome of each; those that the session has are not tried again."""
    database = WorkDB(session, WorkDB.Mode.create)
    if not database.num_work_items:
        database.add_work_items(WorkItem.single(f"{number:05d}", spec) for number, spec in enumerate(specs))
    lock = threading.Lock()
    pending = sorted(database.pending_work_items, key=lambda item: item.job_id)
    done = len(specs) - len(pending)

    def attempt(worker: Worker, item: WorkItem) -> None:
        nonlocal done
        result = trial(worker, item.mutations[0], selection)
        with lock:
            done += 1
            database.set_result(item.job_id, result)
            if result.test_outcome == TestOutcome.KILLED:
                selection.noticed(str(item.mutations[0].module_path), result.output or "")
            print(f"{done}/{len(specs)} {_line(item.mutations[0], result)}", flush=True)

    spread(crew, pending, attempt)
    outcomes = [Outcome.of(item.mutations[0], result) for item, result in database.completed_work_items]
    database.close()
    return sorted(outcomes, key=lambda outcome: (outcome.path, outcome.line))


def _line(spec: MutationSpec, result: WorkResult) -> str:
    return f"{result.test_outcome.value:8} {spec.module_path}:{spec.start_pos[0]}  {result.output}"


def trial(worker: Worker, spec: MutationSpec, selection: Selection) -> WorkResult:
    """Change the file in the worker's checkout, run the tests that reach it, put the file back."""
    path = worker.root / spec.module_path
    before = path.read_text()
    after = mutations.mutated(worker.root, spec)
    assert after is not None
    tests = selection.chosen(mutations.place(worker.root, spec))
    diff = mutations.difference(worker.root, spec)
    if not tests:
        return WorkResult(WorkerOutcome.NO_TEST, "no test runs it", TestOutcome.SURVIVED, diff)
    expected = sum(selection.seconds(names) for names in tests.values())
    path.write_text(after)
    try:
        answer = worker.ask({"tests": tests}, max(LOOSE, 10 * expected))
    finally:
        path.write_text(before)
    number = sum(map(len, tests.values()))
    # 5: a change under which not one of the tests is collected was noticed by none.
    if answer["ended"] and answer["code"] in (0, 5):
        return WorkResult(WorkerOutcome.NORMAL, f"{number} tests, {answer['seconds']} s", TestOutcome.SURVIVED, diff)
    by = (answer.get("failed") or f"status {answer['code']}") if answer["ended"] else "timeout"
    return WorkResult(WorkerOutcome.NORMAL, f"{by} ({answer['seconds']} s)", TestOutcome.KILLED, diff)


if __name__ == "__main__":
    app()
