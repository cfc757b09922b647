"""Which tests reach a change: recorded once for each test file, kept until that file or anything but tests changes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tools.mutants.mutations import Place
from tools.mutants.report import Outcome


@dataclass(frozen=True)
class Record:
    """What one test file ran, alone in its process."""

    file: str
    seconds: dict[str, float]
    """Test → its duration; tests that fail without a change are not among them."""
    reached: dict[str, dict[str, int]]
    """File → test → its lines as bits; the test "" is what ran on import and while tests were collected."""

    @classmethod
    def of(cls, file: str, text: str) -> Record:
        """From the recorder's JSON."""
        raw = json.loads(text)
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
        if self.file in place.tests:
            return list(self.seconds)
        found: set[str] = set()
        for spot in place.spots:
            masks = self.reached.get(spot.path, {})
            lines = sum(1 << line for line in range(spot.first, spot.last + 1))
            # What runs on import, or while tests are collected, is there for every test of the process.
            if (spot.on_import and masks) or masks.get("", 0) & lines:
                return list(self.seconds)
            found |= {name for name, mask in masks.items() if mask & lines}
        return [name for name in self.seconds if name in found]


@dataclass
class Selection:
    """Of all records, for one change after another."""

    records: list[Record]
    trusted: set[str] = field(default_factory=set)
    """Tests that failed under a change and pass alone without one."""
    doubted: set[str] = field(default_factory=set)
    """Tests that fail alone without a change."""
    killers: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Changed file → test files that noticed a change of it: these are asked first next time."""

    def __post_init__(self) -> None:
        self._seconds = {test: seconds for record in self.records for test, seconds in record.seconds.items()}

    def chosen(self, place: Place) -> dict[str, list[str]]:
        """Test file → tests, in the order in which they answer soonest."""
        found = {
            record.file: tests
            for record in self.records
            if (tests := [test for test in record.chosen(place) if test not in self.doubted])
        }
        killers = self.killers[place.path]
        return dict(sorted(found.items(), key=lambda entry: (-killers[entry[0]], self.seconds(entry[1]), entry[0])))

    def seconds(self, tests: Iterable[str]) -> float:
        """What they take without a change."""
        return sum(self._seconds[test] for test in tests)

    def noticed(self, outcome: Outcome) -> None:
        """Remember who noticed a change."""
        if outcome.killed and outcome.how.startswith("tests/"):
            self.killers[outcome.path][outcome.how.split("::")[0]] += 1
