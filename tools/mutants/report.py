"""What came out: figures and survivors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkResult


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

    @classmethod
    def of(cls, spec: MutationSpec, result: WorkResult) -> Outcome:
        """From a session."""
        return cls(
            str(spec.module_path), spec.start_pos[0], spec.operator_name, result.diff or "",
            result.test_outcome == TestOutcome.KILLED, result.output or "",
        )  # fmt: skip

    def text(self) -> str:
        """For a reader."""
        return f"survived {self.path}:{self.line}  {self.operator}  ({self.how})\n{self.diff}\n"
