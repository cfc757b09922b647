"""Cron times: what cron takes, and when it last started something."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
"""Of minute, hour, day of month, month and day of week, on which 0 and 7 are Sunday."""
_ITEM = re.compile(r"(\*|\d+(-\d+)?)(/[1-9]\d*)?")


def fields(time: str) -> tuple[frozenset[int], ...]:
    """The numbers that each field of a cron time means. Raises ValueError where cron would not take it: it then drops
    the whole file."""
    texts = time.split(" ")
    if len(texts) != len(BOUNDS):
        raise ValueError(f"{time!r} has not five fields")
    return tuple(numbers(text, low, high) for text, (low, high) in zip(texts, BOUNDS, strict=True))


def numbers(text: str, low: int, high: int) -> frozenset[int]:
    """The numbers that one field means, within its bounds. Raises ValueError."""
    found: set[int] = set()
    for item in text.split(","):
        if not _ITEM.fullmatch(item):
            raise ValueError(f"{item!r} is no cron time")
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        begin = low if span == "*" else int(first)
        end = high if span == "*" or (step and not last) else int(last or first)
        if not low <= begin <= end <= high:
            raise ValueError(f"{item!r} is not between {low} and {high}")
        found |= set(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


def due(time: str, now: datetime) -> datetime | None:
    """The last moment until ``now`` at which cron starts what has this time; None where there is none within a year.
    Raises ValueError where cron would not take it."""
    minute, hour, day, month, weekday = fields(time)
    sundays_are_zero = {number % 7 for number in weekday}
    # Cron's rule: with both days given either of them is enough.
    either = not time.split()[2].startswith("*") and not time.split()[4].startswith("*")
    for back in range(366):
        date = now - timedelta(days=back)
        on_day, on_weekday = date.day in day, date.isoweekday() % 7 in sundays_are_zero
        if date.month not in month or not (on_day or on_weekday if either else on_day and on_weekday):
            continue
        if times := [(h, m) for h in hour for m in minute if back or (h, m) <= (now.hour, now.minute)]:
            h, m = max(times)
            return date.replace(hour=h, minute=m, second=0, microsecond=0)
    return None
