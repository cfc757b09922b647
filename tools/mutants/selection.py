"""Which tests reach a change: recorded once for each test file, kept until that file or anything but tests changes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tools.mutants.mutations import Place

SLOW = ("tests/db/",)
"""Test files that start a PostgreSQL."""


@dataclass(frozen=True)
class Record:
    """What one test file ran, alone in its process."""

    file: str
    seconds: dict[str, float]
    """Test → its duration; tests that fail without a change are not among them."""
    reached: dict[str, dict[str, int]]
    """File → test → its lines as bits; the test "" is what ran on import and while tests were collected."""

    @classmethod
    def load(cls, file: str, path: Path) -> Record:
        """From the recorder's JSON."""
        raw = json.loads(path.read_text())
        names = list(raw["tests"])
        return cls(
            file,
            {name: seconds for name, seconds in raw["tests"].items() if name not in raw["failed"]},
            {
                source: {names[int(key)] if key else "": int(mask, 16) for key, mask in masks.items()}
                for source, masks in raw["lines"].items()
            },
        )

    def chosen(self, place: Place) -> list[str]:
        """The tests that can see a change there."""
        masks = self.reached.get(place.path, {})
        lines = sum(1 << line for line in range(place.first, place.last + 1))
        # What runs on import, or while tests are collected, is there for every test of the process.
        if (place.on_import and masks) or masks.get("", 0) & lines:
            return list(self.seconds)
        return [name for name, mask in masks.items() if mask & lines and name in self.seconds]


@dataclass
class Selection:
    """Of all records, for one change after another."""

    records: list[Record]
    killers: dict[str, Counter[str]] = field(default_factory=dict)
    """Changed file → test files that noticed a change of it: these are asked first next time."""

    def chosen(self, place: Place) -> dict[str, list[str]]:
        """Test file → tests, in the order in which they answer soonest."""
        found = {record.file: tests for record in self.records if (tests := record.chosen(place))}
        killers = self.killers.get(place.path, Counter())
        return dict(sorted(found.items(), key=lambda entry: (-killers[entry[0]], self.seconds(entry[1]), entry[0])))

    def seconds(self, tests: Iterable[str]) -> float:
        """What they take without a change."""
        known = self._seconds
        return sum(known[test] for test in tests)

    @property
    def _seconds(self) -> dict[str, float]:
        return {test: seconds for record in self.records for test, seconds in record.seconds.items()}

    def noticed(self, path: str, test: str) -> None:
        """Remember who noticed a change of `path`."""
        self.killers.setdefault(path, Counter())[test.split("::")[0]] += 1
