"""`make test`: the fast tests, then databases and environments side by side, and at the end where the minutes went.

    python -m tests.gate [--seed N] [--since REV] [--all]

Families of scenarios run what the change touches and three by chance (tests/gate/families.py). `--seed` repeats a draw; `--all`
runs every scenario, as `make campaign` does. The output of a queue is in a file; where it failed, it follows at the end,
and each failure in short after it.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Sequence
from multiprocessing import connection
from pathlib import Path
from typing import Annotated

import typer

from ops.steps import image
from tests.gate import report
from tests.gate.change import base
from tests.gate.minutes import KEPT
from tests.gate.queues import AT_ONCE, FIRST, Queue, after

ROOT = Path(__file__).parents[2]
TOLD_EVERY = 30
"""Seconds between two looks at what the queues are doing."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Running:
    """A queue at work. ``failed``: its commands that failed; ``wall``: seconds from its beginning to its end."""

    def __init__(self, queue: Queue, folder: Path) -> None:
        self.name, self.log, self.failed, self.wall = queue.name, folder / f"{queue.name}.log", list[str](), 0.0
        self._queue, self._left, self._began = queue, list(queue.commands), time.monotonic()
        self._next()

    def _next(self) -> None:
        self._command = self._left.pop(0)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.end = os.pidfd_open(self._process.pid)
        """Readable once the command has ended."""

    def ended(self) -> bool:
        """Take note of the command that ended, and begin the next one; True when there is none."""
        os.close(self.end)
        if status := self._process.wait():
            self.failed.append(f"{self.name}: {' '.join(self._command)}: exit status {status}")
        if self._left:
            self._next()
            return False
        self.wall = time.monotonic() - self._began
        return True

    def said(self) -> list[str]:
        """Every line of its output."""
        return self.log.read_text(errors="replace").splitlines()


@app.command()
def main(
    seed: Annotated[
        int | None, typer.Option(help="what the draw of scenarios begins with; printed; by chance without it")
    ] = None,
    since: Annotated[str | None, typer.Option(help="where the change begins; see tests/gate/change.py")] = None,
    everything: Annotated[bool, typer.Option("--all", help="every scenario of every family")] = False,
) -> None:
    """Exit status 1 when a test failed."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    since = since or base()
    drawn = () if everything else ("--draw", str(seed), "--since", since)
    print(
        "every scenario" if everything else f"scenarios are drawn by --seed {seed}; the change is {since}..", flush=True
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="keel-test-gate-") as folder:
        kept = Path(folder, "minutes")
        os.environ |= {KEPT: str(kept), "KEEL_TEST_SEED": str(seed)}
        ended = watch([FIRST], Path(folder))
        if not ended[0].failed:
            os.environ["KEEL_TEST_IMAGE"] = image.main("dev")  # once, before several processes need it
            ended += watch(after(drawn), Path(folder))
        for queue in ended:
            print(f"\n===== {queue.name}", *(queue.said() if queue.failed else _closing(queue.said())), sep="\n")
        walls = {queue.name: queue.wall for queue in ended}
        spent = report.read(kept)
        print("", *report.lines(spent, walls, time.monotonic() - began), "", *report.failures(spent), sep="\n")
    failed = [line for queue in ended for line in queue.failed]
    print("", *failed, sep="\n", flush=True)
    raise typer.Exit(1 if failed else 0)


def watch(queues: Sequence[Queue], folder: Path, at_once: int = AT_ONCE) -> list[Running]:
    """Carry the queues out, ``at_once`` side by side and the next whenever one has ended; say from time to time where each is."""
    waiting, ended = list(queues), list[Running]()
    working, began, told = list[Running](), time.monotonic(), time.monotonic()
    while waiting or working:
        while waiting and len(working) < at_once:
            working.append(Running(waiting.pop(0), folder))
        left = max(0.0, told + TOLD_EVERY - time.monotonic())
        ends = connection.wait([queue.end for queue in working], timeout=left)
        ended += [queue for queue in working if queue.end in ends and queue.ended()]
        working = [queue for queue in working if queue not in ended]
        if time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            for queue in working:
                last = next((line.strip() for line in reversed(queue.said()) if line.strip()), "")
                print(f"{report.minutes(told - began)} {queue.name}: {last[:110]}", flush=True)
    return ended


def _closing(said: list[str]) -> list[str]:
    """What a run that passed leaves to be read: pytest's closing lines, and the scenarios left out."""
    return [line for line in said if " passed" in line or ": left out by seed " in line]


if __name__ == "__main__":
    app()
