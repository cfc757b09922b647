"""A step of set-up and the ways to do it: what is there, the vendor's way, the build from registries."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import SetupError
from .progress import elapsed, say

GB = 10**9


@dataclass(frozen=True)
class Need:
    """Disk space a way takes: `size` bytes below `where`."""

    where: Path
    size: int


@dataclass(frozen=True)
class Way:
    """One way to do a step. `obstacle`: why it cannot be tried here, or None. Only `go` changes anything."""

    name: str
    obstacle: Callable[[], str | None]
    go: Callable[[], None]
    needs: Callable[[], tuple[Need, ...]] = tuple


@dataclass(frozen=True)
class Step:
    """Something that must be there: `done` looks (fast, read-only); `ways` in the order they are tried."""

    title: str
    done: Callable[[], bool]
    ways: Sequence[Way]
    remedy: str
    after: Step | None = None  # the step that must be done before this one can be

    def first_way(self) -> Way | None:
        """The way that will be tried first on this machine."""
        return next((way for way in self.ways if way.obstacle() is None), None)

    def impossible(self) -> str:
        """The sentence for a machine on which no way can be tried."""
        reasons = "; ".join(f"{way.name}: {way.obstacle()}" for way in self.ways)
        return f"{self.title} is missing and cannot be provided here ({reasons}). {self.remedy}"


def take(step: Step) -> None:
    """Do `step` by the first way that works, saying which. Raises SetupError when none does."""
    failures = []
    for way in step.ways:
        if way.obstacle() is not None:
            continue
        began = time.monotonic()
        try:
            way.go()
            if not step.done():
                raise SetupError(f"{way.name} succeeded, but {step.title} is still missing")
        except (SetupError, OSError) as error:
            failures.append(f"{way.name}: {error}")
            say(f"{step.title}: {way.name} did not work: {error}")
            continue
        say(f"{step.title}: {way.name} ({elapsed(time.monotonic() - began)})")
        return
    if not failures:
        raise SetupError(step.impossible())
    raise SetupError(
        f"{step.title} could not be provided: {failures[-1]}\n"
        f"What was done before is kept, and nothing half-done will be used. {step.remedy}"
    )
