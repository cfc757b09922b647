"""What the campaign makes of what came back: a campaign that cannot fail proves nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.campaign import seconds
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


def test_the_seconds_of_a_lost_host_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the last acknowledged row to the next: the parts are the pause, whatever else there was between rows."""
    writer: Any = SimpleNamespace(acknowledged={str(second): write(second) for second in (0, 0.1, 2, 2.1, 27.5, 27.6)})
    lease = SimpleNamespace(ended=NOON + timedelta(seconds=22.2), taken=NOON + timedelta(seconds=24.7))
    monkeypatch.setattr(seconds, "edge_of", lambda _: "edge1")
    up = (NOON + timedelta(seconds=27)).timestamp()
    journal = f"{up - 9} edge1 haproxy[1]: Server primary/db1 is UP\n{up} edge1 haproxy[1]: Server primary/db2 is UP, reason\n"
    session = SimpleNamespace(run=lambda host, _: journal)
    parts = seconds.where(cast(Any, session), writer, cast(Any, lease), "db2")
    assert parts == {"lease": 20.0, "election": 2.5, "promotion_and_proxy": 2.3, "pooler_and_client": 0.6}
    assert seconds.pause(writer) == pytest.approx(sum(parts.values())) == 25.4
