"""When the backup host raises an alert."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from roles.jobs import alerts
from roles.jobs.alerts import CRITICAL, MIB, WARNING, due
from roles.jobs.continuity import Hole

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


def test_a_hole_is_critical_until_a_backup_follows_and_silent_once_acknowledged() -> None:
    def raised(until: str, acknowledged: bool, state: str = "open") -> list[str]:
        hole = Hole("A", "A", 1, "0/1", "0/2", "then", until, "now", state, acknowledged)
        return [alert.severity for alert in alerts.missing([hole])]

    assert raised("", acknowledged=False) == [CRITICAL]
    assert raised("later", acknowledged=False) == [WARNING]
    assert raised("later", acknowledged=True) == []
    assert raised("", acknowledged=True) == [CRITICAL]
    assert raised("", acknowledged=False, state="filled") == []


@pytest.mark.parametrize(
    ("time", "last"),
    [
        ("0 2 * * *", "2026-11-22 02:00"),
        ("0 14 * * *", "2026-11-21 14:00"),
        ("30 12 * * *", "2026-11-22 12:30"),
        ("0 8,14,20 * * *", "2026-11-22 08:00"),
        ("*/20 * * * *", "2026-11-22 12:20"),
        ("5-50/15 9-17 * * *", "2026-11-22 12:20"),
        ("0 3 1 * *", "2026-11-01 03:00"),
        ("0 3 * * 0", "2026-11-22 03:00"),
        ("0 3 * * 7", "2026-11-22 03:00"),
        ("0 3 * * 1", "2026-11-16 03:00"),
        ("0 3 1 * 5", "2026-11-20 03:00"),  # either day
        ("0 3 24 12 *", "2025-12-24 03:00"),
        ("0 3 30 2 *", None),
        ("30 23 * * *", "2026-11-21 23:30"),
        ("31 12 * * *", "2026-11-21 12:31"),
        ("0 13 22 11 *", "2025-11-22 13:00"),  # a year ago to the day
        ("0 3 1,22 * *", "2026-11-22 03:00"),
        ("0 3 * 10 6", "2026-10-31 03:00"),
        ("0 3 21 * *", "2026-11-21 03:00"),
        ("0 3 */21 * 1", "2026-06-22 03:00"),  # a day with a star is no day that was given: both must fit
        ("0 3 13 * */5", "2026-11-13 03:00"),
    ],
)
def test_the_last_time_cron_started_a_job(time: str, last: str | None) -> None:
    """PLAT-45."""
    found = due(time, NOW)
    assert (f"{found:%F %H:%M}" if found else None) == last


@pytest.mark.parametrize(
    "moment", ["2026-01-01 00:00", "2026-12-31 23:59", "2026-11-21 12:30", "2026-11-22 12:30", "2028-02-29 01:01"]
)
def test_a_star_is_every_minute_of_every_day(moment: str) -> None:
    """The first and the last of each, a Saturday, a Sunday and a leap day."""
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert due("* * * * *", now) == now


def test_a_star_in_the_hour_begins_at_midnight() -> None:
    """Shortly after it the last time was the day before."""
    assert due("30 * * * *", datetime(2026, 11, 22, 0, 10, tzinfo=UTC)) == datetime(2026, 11, 21, 23, 30, tzinfo=UTC)


def test_a_time_more_than_a_year_ago_is_none() -> None:
    assert due("0 13 22 11 *", datetime(2024, 11, 22, 12, 30, tzinfo=UTC)) is None


def test_a_time_without_its_five_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        due("0 2 * *", NOW)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("7", {7}), ("3-5", {3, 4, 5}), ("1,4-8/2", {1, 4, 6, 8}), ("5/15", {5, 20, 35, 50}), ("*/25", {0, 25, 50}),
        ("0", {0}), ("*", set(range(60))),
    ],
)  # fmt: skip
def test_a_field_stands_for_numbers(text: str, numbers: set[int]) -> None:
    assert alerts.values(text, 0, 59) == numbers


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
    assert never.severity == WARNING and "not complete since it began" in never.text
