"""What came out: figures, and survivors with what a person says of them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkResult

AIMS = {"keel_host": 0.8, "environment": 0.8, "processes": 0.8, "roles": 0.8, "ops": 0.7, "db": 0.7}
"""What the lower end of the interval has to reach: much of `ops` and `db` shows only in a real environment."""

REVIEWED = Path(__file__).with_name("reviewed.yaml")


def wilson(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a proportion (E. B. Wilson, 1927): it holds for small numbers and near 0 and 1 too."""
    if not trials:
        return 0.0, 1.0
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Outcome:
    """Of one change."""

    path: str
    line: int
    operator: str
    diff: str
    killed: bool
    how: str
    """The test that failed, or how many passed."""
    reached: bool
    """A test runs the place."""

    @classmethod
    def of(cls, spec: MutationSpec, result: WorkResult) -> Outcome:
        """From a session."""
        return cls(
            str(spec.module_path), spec.start_pos[0], spec.operator_name, result.diff or "",
            result.test_outcome == TestOutcome.KILLED, result.output or "",
            result.worker_outcome != WorkerOutcome.NO_TEST,
        )  # fmt: skip


@dataclass(frozen=True)
class Review:
    """What a person found out about a survivor; one of the two is there."""

    caught: str | None = None
    """The slower test that notices it, `file::test`."""
    equivalent: str | None = None
    """Why nothing can notice it."""

    def __post_init__(self) -> None:
        if (self.caught is None) == (self.equivalent is None):
            raise ValueError("a reviewed survivor is caught by a slower test or equivalent")


Reviews = dict[tuple[str, str], Review]


def reviews(text: str) -> Reviews:
    """From `reviewed.yaml`: a change is named by its file and its lines, so it may move."""
    return {
        (entry["file"], plain(entry["change"])): Review(entry.get("caught"), entry.get("equivalent"))
        for entry in yaml.safe_load(text) or []
    }


def plain(diff: str) -> str:
    """Without what an editor may change."""
    return "\n".join(line[:1] + " ".join(line[1:].split()) for line in diff.strip().splitlines())


@dataclass(frozen=True)
class Layer:
    """The result of one layer's draw."""

    name: str
    possible: int
    outcomes: list[Outcome]
    known: Reviews

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share that was killed. A survivor is one, whatever a person says of it."""
        return wilson(sum(outcome.killed for outcome in self.outcomes), len(self.outcomes))

    @property
    def reached(self) -> bool:
        """The aim."""
        return self.interval[0] >= AIMS[self.name]

    def review(self, outcome: Outcome) -> Review | None:
        """Of this survivor."""
        return self.known.get((outcome.path, plain(outcome.diff)))

    def figures(self) -> dict[str, Any]:
        """For the table and the evidence."""
        survived = [outcome for outcome in self.outcomes if not outcome.killed]
        said = Counter(
            "open" if (review := self.review(outcome)) is None else "caught later" if review.caught else "equivalent"
            for outcome in survived
        )
        low, high = self.interval
        return {
            "possible": self.possible,
            "drawn": len(self.outcomes),
            "killed": len(self.outcomes) - len(survived),
            "of them by the limit": sum(
                outcome.killed and outcome.how.startswith("limit") for outcome in self.outcomes
            ),
            "killed by": dict(Counter(o.how.split("::")[0] for o in self.outcomes if o.killed).most_common()),
            "survived": len(survived),
            "of them on lines that no test runs": sum(not outcome.reached for outcome in survived),
            "caught later": said["caught later"],
            "equivalent": said["equivalent"],
            "open": said["open"],
            "low": round(low, 4),
            "high": round(high, 4),
            "aim": AIMS[self.name],
        }

    def survivors(self) -> list[dict[str, Any]]:
        """Each with its place, its change and what is known of it."""
        found = []
        for outcome in self.outcomes:
            if not outcome.killed:
                review = self.review(outcome) or None
                said = {name: value for name, value in vars(review).items() if value} if review else {}
                found.append(
                    {"file": outcome.path, "line": outcome.line, "operator": outcome.operator, "change": outcome.diff}
                    | {"tests": outcome.how} | said
                )  # fmt: skip
        return found

    def text(self) -> str:
        """For a reader."""
        parts = [
            f"survived {entry['file']}:{entry['line']}  {entry['operator']}  ({entry['tests']})\n{entry['change']}\n"
            + "".join(f"{word}: {entry[word]}\n" for word in ("caught", "equivalent") if word in entry)
            for entry in self.survivors()
        ]
        figures = self.figures()
        parts.append(
            f"{self.name}: {figures['killed']} of {figures['drawn']} killed, "
            f"95 % interval {figures['low']:.1%} to {figures['high']:.1%}, aim {figures['aim']:.0%}: "
            f"{'reached' if self.reached else 'missed'}; of {figures['survived']} survivors {figures['caught later']} "
            f"caught by a slower test, {figures['equivalent']} equivalent, {figures['open']} open"
        )
        return "\n".join(parts)
