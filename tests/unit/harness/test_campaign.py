"""What the campaign makes of what came back: a campaign that cannot fail proves nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.campaign.backups import judge_moment, judge_rebuild
from tests.system.writer import Write

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def write(second: float) -> Write:
    """A commit that took a tenth of a second."""
    begun = NOON + timedelta(seconds=second)
    return Write(begun, begun + timedelta(seconds=0.1))


ACKNOWLEDGED = {name: write(second) for second, name in enumerate("abcd")}


def test_a_rebuild_may_lose_only_the_end() -> None:
    """RPO: from the first missing acknowledgement to the disaster, seconds."""
    lost_at = NOON + timedelta(seconds=4)
    assert judge_rebuild(ACKNOWLEDGED, {"a", "b"}, lost_at) == {"acknowledged": 4, "missing": 2, "rpo_seconds": 1.9}
    assert judge_rebuild(ACKNOWLEDGED, set("abcd"), lost_at)["rpo_seconds"] == 0
    with pytest.raises(AssertionError, match="missing before one that is there"):
        judge_rebuild(ACKNOWLEDGED, {"a", "c", "d"}, lost_at)


def test_a_moment_divides_the_rows() -> None:
    """What was acknowledged before is there, what began after is not; what was under way may be either."""
    end = NOON + timedelta(seconds=1.05)
    assert judge_moment(ACKNOWLEDGED, {"a"}, end) == judge_moment(ACKNOWLEDGED, {"a", "b"}, end)
    with pytest.raises(AssertionError, match="1 rows acknowledged before"):
        judge_moment(ACKNOWLEDGED, set(), end)
    with pytest.raises(AssertionError, match="1 rows that began after"):
        judge_moment(ACKNOWLEDGED, {"a", "c"}, end)
