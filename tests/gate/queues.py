"""What the gate runs: queues of commands side by side; within a queue one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from environment.load import ROOT

LANES = ("dev", "twin", "trio", "ci", "single")
"""The shared environments of tests/system: each has a queue of its own (`pytest --lane`)."""


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
"""One process that computes: where it steps back for the lanes, it has a core for itself at the end and the other is idle."""


def lanes(draw: tuple[str, ...]) -> tuple[Queue, ...]:
    """The environments' queues; ``draw``: pytest's options for families of scenarios."""
    return tuple(Queue(lane, (("pytest", "-v", "tests/system", "--lane", lane, *draw),)) for lane in LANES)
