"""Cron times: what cron takes, and when it last started something."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from keel_host import schedule
from keel_host.schedule import due

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
"""A Sunday."""


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
    with pytest.raises(ValueError, match="has not five fields"):
        due("0 2 * *", NOW)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("7", {7}), ("3-5", {3, 4, 5}), ("1,4-8/2", {1, 4, 6, 8}), ("5/15", {5, 20, 35, 50}), ("*/25", {0, 25, 50}),
        ("0", {0}), ("*", set(range(60))),
    ],
)  # fmt: skip
def test_a_field_stands_for_numbers(text: str, numbers: set[int]) -> None:
    assert schedule.numbers(text, 0, 59) == numbers


@pytest.mark.parametrize("text", ["", "60", "5-", "-5", "7-3", "1/0", "*/0", "1,,2", "mon", "1-2-3", "*-5", "1 "])
def test_what_cron_would_not_take_is_refused(text: str) -> None:
    """PLAT-45: it would drop the whole file."""
    with pytest.raises(ValueError, match=r"is no cron time|is not between 0 and 59"):
        schedule.numbers(text, 0, 59)


def test_sunday_has_two_numbers_and_no_third() -> None:
    assert schedule.fields("0 3 * * 0,7")[4] == {0, 7}
    with pytest.raises(ValueError, match="between 0 and 7"):
        schedule.fields("0 3 * * 8")
