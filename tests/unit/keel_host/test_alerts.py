"""When the backup host raises an alert."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from keel_host import alerts
from keel_host.alerts import CRITICAL, MIB, WARNING
from keel_host.gaps import ArchiveGap

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
"""A Sunday."""


@pytest.mark.parametrize(
    ("found", "severity"), [(0, None), (49, None), (50, WARNING), (79, WARNING), (80, CRITICAL), (300, CRITICAL)]
)
def test_alerts_at_half_and_at_four_fifths_of_the_limit(found: int, severity: str | None) -> None:
    """ADA-25, PLAT-44, JEEX-40."""
    raised = list(alerts.waiting(found * MIB, 100 * MIB, 7 * MIB))
    assert [alert.severity for alert in raised] == ([severity] if severity else [])
    assert all(f"{found} of 100 MiB" in alert.text and "7 MiB free" in alert.text for alert in raised)


def test_an_archive_that_takes_nothing_is_told() -> None:
    """ADA-25, PLAT-44: a few archive_timeouts; a short one is no reason to cry at once."""
    assert list(alerts.stalled(300, 60)) == [] and list(alerts.stalled(60, 1)) == []
    assert [alert.severity for alert in alerts.stalled(301, 60)] == [CRITICAL]
    assert [alert.severity for alert in alerts.stalled(60.5, 1)] == [CRITICAL]


def test_a_gap_is_critical_until_a_backup_follows_and_silent_once_acknowledged() -> None:
    def raised(until: str, acknowledged: bool, state: str = "open") -> list[str]:
        gap = ArchiveGap("A", "A", 1, "0/1", "0/2", "then", until, "now", state, acknowledged)
        return [alert.severity for alert in alerts.archive_gaps([gap])]

    assert raised("", acknowledged=False) == [CRITICAL]
    assert raised("later", acknowledged=False) == [WARNING]
    assert raised("later", acknowledged=True) == []
    assert raised("", acknowledged=True) == [CRITICAL]
    assert raised("", acknowledged=False, state="filled") == []


@pytest.mark.parametrize(("time", "late"), [("30 6 * * *", True), ("31 6 * * *", False)])
def test_a_job_has_six_hours(time: str, late: bool) -> None:
    """PLAT-45: a backup may take some; one that has succeeded at its very minute is not late."""
    now = NOW.timestamp()
    assert bool(list(alerts.jobs({"full": time}, {}, {"full": now - 86400}, 0, now))) is late
    due_at = datetime(2026, 11, 22, 6, 30, tzinfo=UTC).timestamp()
    for succeeded, since in ((due_at, 0), (0, due_at)):
        assert list(alerts.jobs({"full": "30 6 * * *"}, {}, {"full": succeeded}, since, now)) == []


def test_a_job_that_has_no_time_is_never_late() -> None:
    assert list(alerts.jobs({"full": "0 3 30 2 *"}, {}, {}, 0, NOW.timestamp())) == []


def test_what_is_raised_says_which_job_and_when() -> None:
    """PLAT-32: by name, one alert a job."""
    schedule, status = {"full": "0 2 * * *", "drill": "0 4 * * 0"}, {"full": 0, "dumps": 3}
    raised = list(alerts.jobs(schedule, status, {}, 0, NOW.timestamp()))
    assert [(alert.name, alert.subject, alert.text) for alert in raised] == [
        ("job_failed", "dumps", "the last dumps ended with exit status 3"),
        ("job_late", "drill", "drill was due 2026-11-22 04:00 UTC and has not succeeded since"),
        ("job_late", "full", "full was due 2026-11-22 02:00 UTC and has not succeeded since"),
    ]


def test_jobs_that_fail_or_do_not_succeed_in_time_are_told() -> None:
    """PLAT-32, PLAT-44, PLAT-45, JEEX-40."""
    now = NOW.timestamp()
    two, began = datetime(2026, 11, 22, 2, 1, tzinfo=UTC).timestamp(), now - 40 * 86400
    schedule = {"full": "0 2 * * *"}

    def raised(status: int, succeeded: float | None, since: float = began) -> list[str]:
        last = {"full": succeeded} if succeeded else {}
        return [alert.name for alert in alerts.jobs(schedule, {"full": status}, last, since, now)]

    assert raised(0, two) == []
    assert raised(1, two) == ["job_failed"]
    assert raised(0, two - 86400) == ["job_late"]
    assert raised(0, None) == ["job_late"]
    assert raised(0, None, since=now - 3600) == []  # it was not there yet


def test_a_second_repository_that_lacks_wal_for_too_long_is_told() -> None:
    """PLAT-31, PLAT-32."""
    now = NOW.timestamp()
    assert list(alerts.copying(now - 900, 3, now)) == []
    (raised,) = alerts.copying(now - 901, 3, now)
    assert (
        raised.severity == WARNING and "since 2026-11-22 12:14:59 UTC" in raised.text and "lacks 3 files" in raised.text
    )
    (never,) = alerts.copying(0, 0, now)
    assert never.severity == WARNING and "not been complete since it began" in never.text


@pytest.mark.parametrize(
    ("days", "severity"), [(30, None), (29.9, WARNING), (7, WARNING), (6.9, CRITICAL), (-1, CRITICAL)]
)
def test_a_certificate_that_ends_soon_is_told(days: float, severity: str | None) -> None:
    """W15: leaves are signed again by a converge alone, and one that nobody runs signs none."""
    now = NOW.timestamp()
    raised = list(alerts.certificates({"etcd": now + days * 86400, "redis": now + 397 * 86400}, now))
    assert [(each.severity, each.subject) for each in raised] == ([(severity, "etcd")] if severity else [])
    assert all("etcd of the backup host ends on 2026-1" in each.text for each in raised)
