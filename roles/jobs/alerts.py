"""When the backup host raises an alert: thresholds and times, as functions of what was found.

The role installs this file beside the program `watch-archive`. It therefore imports nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roles.jobs.continuity import Hole

WARNING, CRITICAL = "warning", "critical"
SHARES = ((80, CRITICAL), (50, WARNING))
"""Percent of the limit that wait for the archive."""
PATIENCE = 5
"""So many archive_timeouts may pass before a segment arrives."""
COPIED_WITHIN = 900
"""Seconds until the second repository has what the first one has (ADA-25)."""
GRACE = timedelta(hours=6)
"""A job that was due so long ago and has not succeeded is late."""
MIB = 2**20


@dataclass(frozen=True)
class Alert:
    """One thing that a person must know. ``subject`` tells alerts of one name apart."""

    name: str
    severity: str
    text: str
    subject: str = ""


def waiting(found: int, limit: int, free: int) -> Iterator[Alert]:
    """At 50 and at 80 % of the limit. All in bytes; ``free``: on the backup volume."""
    for share, severity in SHARES:
        if found * 100 >= limit * share:
            yield Alert(
                "archive_waiting",
                severity,
                f"{found / MIB:.0f} of {limit / MIB:.0f} MiB of WAL wait on the primary for the archive ({share} % is passed); "
                f"the backup volume has {free / MIB:.0f} MiB free",
            )
            return


def stalled(seconds: float, timeout: float) -> Iterator[Alert]:
    """When the oldest segment that waits has waited too long; ``timeout``: archive_timeout, seconds."""
    if seconds > max(PATIENCE * timeout, 60):
        yield Alert("archive_stalled", CRITICAL, f"WAL waits for the archive and none was taken for {seconds:.0f} s")


def copying(succeeded: float, lacking: int, now: float) -> Iterator[Alert]:
    """When the second repository lacks WAL for too long. ``succeeded``: when nothing was missing last, seconds since 1970."""
    if now - succeeded > COPIED_WITHIN:
        when = f"{datetime.fromtimestamp(succeeded, UTC):%F %T} UTC" if succeeded else "it began"
        yield Alert(
            "archive_copy", WARNING, f"the second repository was not complete since {when}; it lacks {lacking} files"
        )


def missing(holes: Iterable[Hole]) -> Iterator[Alert]:
    """Holes that stand; one that a backup was made after is a warning until somebody has acknowledged it."""
    for hole in holes:
        if hole.stands and not (hole.until and hole.acknowledged):
            yield Alert("archive_hole", WARNING if hole.until else CRITICAL, hole.sentence, hole.first)


def jobs(
    schedule: Mapping[str, str], status: Mapping[str, int], succeeded: Mapping[str, float], since: float, now: float
) -> Iterator[Alert]:
    """Jobs whose last run failed, and those that have not succeeded since they were due.

    ``schedule``: job → cron time; ``status``, ``succeeded``: job → last exit status, last success; ``since``: what was due before is
    nobody's fault. Times in seconds since 1970.
    """
    for job, code in sorted(status.items()):
        if code:
            yield Alert("job_failed", CRITICAL, f"the last {job} ended with exit status {code}", job)
    for job, time in sorted(schedule.items()):
        last = due(time, datetime.fromtimestamp(now, UTC) - GRACE)
        if last and max(succeeded.get(job, since), since) < last.timestamp():
            yield Alert("job_late", CRITICAL, f"{job} was due {last:%F %H:%M} UTC and has not succeeded since", job)


def due(time: str, now: datetime) -> datetime | None:
    """The last moment until ``now`` at which cron starts what has this time; None where there is none within a year."""
    minute, hour, day, month, weekday = (
        values(text, *bounds)
        for text, bounds in zip(time.split(), ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6)), strict=True)
    )
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


def values(text: str, low: int, high: int) -> set[int]:
    """The numbers that one field of a cron time stands for."""
    found: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        begin = low if span == "*" else int(first)
        end = high if span == "*" or (step and not last) else int(last or first)
        found |= set(range(begin, end + 1, int(step or 1)))
    return found
