"""When the backup host raises an alert: thresholds and times, as functions of what was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from keel_host.gaps import ArchiveGap
from keel_host.schedule import due

WARNING, CRITICAL = "warning", "critical"
SHARES = ((80, CRITICAL), (50, WARNING))
"""Percent of the limit that wait for the archive."""
PATIENCE = 5
"""So many archive_timeouts may pass before a segment arrives."""
COPIED_WITHIN = 900
"""Seconds until the second repository has what the first one has (ADA-25)."""
GRACE = timedelta(hours=6)
"""A job that was due so long ago and has not succeeded is late."""
CERTIFICATES = ((7, CRITICAL), (30, WARNING))
"""Days that a certificate is still valid."""
DAY = 86400
MIB = 2**20


@dataclass(frozen=True)
class Alert:
    """One thing that an operator must know. ``subject`` distinguishes alerts of one name."""

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
            "archive_copy",
            WARNING,
            f"the second repository has not been complete since {when}; it lacks {lacking} files",
        )


def archive_gaps(gaps: Iterable[ArchiveGap]) -> Iterator[Alert]:
    """Gaps whose moments cannot be reached; one that a backup was made after is a warning until an operator has acknowledged it."""
    for gap in gaps:
        if gap.is_unreachable and not (gap.until and gap.acknowledged):
            yield Alert("archive_gap", WARNING if gap.until else CRITICAL, gap.sentence, gap.first)


def certificates(ends: Mapping[str, float], now: float) -> Iterator[Alert]:
    """When one of this host's ends soon. ``ends``: key pair → end; times in seconds since 1970."""
    for name, end in sorted(ends.items()):
        days = int((end - now) // DAY)
        for left, severity in CERTIFICATES:
            if days < left:
                when = f"{datetime.fromtimestamp(end, UTC):%F}"
                text = f"the certificate {name} of the backup host ends on {when}; `pulumi up --refresh` signs those of all hosts again"
                yield Alert("certificate", severity, text, name)
                break


def jobs(
    schedule: Mapping[str, str], status: Mapping[str, int], succeeded: Mapping[str, float], since: float, now: float
) -> Iterator[Alert]:
    """Jobs whose last run failed, and those that have not succeeded since they were due.

    ``schedule``: job → cron time; ``status``, ``succeeded``: job → last exit status, last success; ``since``: what was due before it is
    not late. Times in seconds since 1970.
    """
    for job, code in sorted(status.items()):
        if code:
            yield Alert("job_failed", CRITICAL, f"the last {job} ended with exit status {code}", job)
    for job, time in sorted(schedule.items()):
        last = due(time, datetime.fromtimestamp(now, UTC) - GRACE)
        if last and max(succeeded.get(job, since), since) < last.timestamp():
            yield Alert("job_late", CRITICAL, f"{job} was due {last:%F %H:%M} UTC and has not succeeded since", job)
