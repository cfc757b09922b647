"""What the gate runs: queues of commands side by side; within a queue one after the other."""

from __future__ import annotations

from dataclasses import dataclass

LANES = ("dev", "twin", "trio", "ci", "single")
"""The shared environments of tests/system: each has a queue of its own (`pytest --lane`)."""


@dataclass(frozen=True)
class Queue:
    """Commands in order. ``nice``: how far they step back for the others, as nice(1) counts."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    nice: int = 0


FIRST = Queue("fast", (("pytest", "-q", "-n", "2", "tests/unit", "tests/components", "tests/roles"),))
"""Seconds, before anything is brought up: most mistakes end here."""

DATABASES = Queue(
    "db",
    (
        (
            "pytest",
            "-q",
            "tests/db",
            "tests/test_database.py",
            "tests/test_migrations.py",
            "tests/test_performance.py",
            "tests/test_escrow.py",
        ),
        ("tools/test-majors",),
    ),
    nice=5,
)
"""It computes where the lanes wait for hosts, so it takes what they leave."""


def lanes(draw: tuple[str, ...]) -> tuple[Queue, ...]:
    """The environments' queues; ``draw``: pytest's options for families of scenarios."""
    return tuple(Queue(lane, (("pytest", "-v", "tests/system", "--lane", lane, *draw),)) for lane in LANES)
