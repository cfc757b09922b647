"""What the gate runs: queues of commands, some of them side by side; within a queue one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from environment.load import ROOT

AT_ONCE = 3
"""Queues side by side. Two cores are busy with so many; with all six at once an idle environment of four hosts took 0.2 of a
core from the others for an hour, and clients of the tests met their time limits."""
LANES = ("ci", "dev", "trio", "single", "twin")
"""The shared environments of tests/system: each has a queue of its own (`pytest --lane`). The longest is first."""


@dataclass(frozen=True)
class Queue:
    """Commands in order."""

    name: str
    commands: tuple[tuple[str, ...], ...]


FIRST = Queue("fast", (("pytest", "-q", "-n", "2", "tests/unit", "tests/components", "tests/roles"),))
"""Seconds, before anything is brought up: most mistakes end here."""

DATABASES = Queue(
    "db",
    (
        (
            "pytest",
            "-q",
            "tests/db",
            *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/test_*.py")),
        ),
        ("tools/test-majors",),
    ),
)
"""Of these `pytest` is one process that computes, so it begins with the lanes: alone at the end it would leave a core idle."""


def after(draw: tuple[str, ...]) -> tuple[Queue, ...]:
    """What comes after the fast tests, in the order in which it begins; ``draw``: pytest's options for families of scenarios."""
    lanes = (Queue(lane, (("pytest", "-v", "tests/system", "--lane", lane, *draw),)) for lane in LANES)
    return DATABASES, *lanes
