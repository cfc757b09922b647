"""`make bench`: cold start, no-op, one changed setting, full drift check, the operator command and the end, on an environment of
its own like dev.

    python -m tests.bench [ROUNDS]

Prints, from one run, every figure with its spread over the rounds (default 3), and for each operation the share of time in
Keel's steps (pyinfra, SSH, SQL) as against Pulumi itself.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from environment.load import ROOT
from tests.system.environments import Ephemeral, discard, prepare

STEP = re.compile(r"dynamic/keel:(\w+) (\S+) (?:created|updated|refreshed) \((\d+)s\)")
AIMS = {
    "cold up": 90, "no-op up": 10, "one setting": 15, "drift check": 30, "keel --help": 0.4, "keel status": 1.5, "down": 15
}  # fmt: skip
"""Seconds on two processors (issues 3 and 11)."""


def main(rounds: int) -> None:
    """Run all rounds and print the table."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    steps: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(1, rounds + 1):
        ephemeral = prepare("dev")
        print(f"round {number} of {rounds}: {ephemeral.name}", flush=True)
        try:
            _round(ephemeral, seconds, steps)
        finally:
            discard(ephemeral)
    _print(seconds, steps)


def _round(ephemeral: Ephemeral, seconds: dict[str, list[float]], steps: dict[str, list[float]]) -> None:
    def measured(what: str, run: Callable[[], str]) -> None:
        begin = time.monotonic()
        output = run()
        seconds[what].append(time.monotonic() - begin)
        steps[what].append(sum(float(found[2]) for found in STEP.findall(output)))
        print(f"  {what}: {seconds[what][-1]:.1f} s", flush=True)

    measured("cold up", lambda: ephemeral.up().stdout)
    measured("no-op up", lambda: ephemeral.up("--expect-no-changes").stdout)
    ephemeral.config["keel:pgbouncer"] = {"server_idle_timeout": 299}
    ephemeral.save()
    measured("one setting", lambda: ephemeral.up().stdout)
    measured("drift check", lambda: ephemeral.pulumi("preview", "--refresh", "--expect-no-changes").stdout)
    measured("keel --help", lambda: _keel(ephemeral, "--help"))
    measured("keel status", lambda: _keel(ephemeral, "status"))
    measured("down", lambda: ephemeral.destroy().stdout)


def _keel(ephemeral: Ephemeral, *arguments: str) -> str:
    """The script that an operator calls: with what it takes to find the toolchain."""
    done = subprocess.run(
        [ROOT / "keel", *arguments], env=ephemeral.variables, capture_output=True, text=True, check=True
    )
    return done.stdout


def _print(seconds: dict[str, list[float]], steps: dict[str, list[float]]) -> None:
    table = Table(title="seconds")
    for column in ("operation", "aim", "minimum", "median", "maximum", "of it in Keel's steps (sum)"):
        table.add_column(column, justify="right" if column != "operation" else "left")
    for what, values in seconds.items():
        figures = (min(values), statistics.median(values), max(values), statistics.median(steps[what]))
        table.add_row(what, str(AIMS[what]), *(f"{figure:.1f}" for figure in figures))
    Console(width=110).print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
