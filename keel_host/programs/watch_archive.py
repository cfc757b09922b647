"""Watch the WAL archive: what waits for it, whether it is whole, and whether the jobs succeed. Cron runs it each minute.

It asks the primary, reads the repository, and leaves behind: metrics, the active alerts (a line in syslog when one begins or
ends), and a record of the gaps in the archive. Where WAL was lost it starts a full backup. It does not wait for a backup that
runs, nor does it need a place on the backup volume, which may be full.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from keel_host import active_alerts, alerts, certificates, files, gaps, metrics, positions, wal
from keel_host.alerts import Alert
from keel_host.config import BackupHost, read
from keel_host.gaps import ArchiveGap
from keel_host.pgbackrest import ARCHIVED, FIRST, Pgbackrest, Stanza, timelines
from keel_host.processes import Failed, output
from keel_host.programs import copy_archive, job
from keel_host.times import utc
from keel_host.typed import build
from keel_host.wal import Segment, TimelineHistory

LOCK = "keel-watch-archive.lock"
QUESTION = r"""
select json_build_object(
  'now', extract(epoch from clock_timestamp()),
  'lsn', pg_current_wal_insert_lsn(),
  'timeline', ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int,
  'segment_size', pg_size_bytes(current_setting('wal_segment_size')),
  'archive_timeout', extract(epoch from current_setting('archive_timeout')::interval),
  'acknowledged', (select last_archived_wal from pg_stat_archiver),
  'waiting_bytes', coalesce(sum(wal.size), 0),
  'waiting_seconds', coalesce(extract(epoch from clock_timestamp() - min(ready.modification)), 0))
from pg_ls_archive_statusdir() ready join pg_ls_waldir() wal on ready.name = wal.name || '.ready'
"""
ANSWERS_WITHIN = 60
"""Seconds that the primary and the repository have for each question."""
SETTLED = 60
"""Seconds after which no older segment is still on its way."""
AGAIN = 900
"""Seconds until a full backup that failed is tried again."""
BACKUP_UNIT = "keel-backup-after-gap"
METRICS = "archive.prom"


@dataclass(frozen=True)
class Primary:
    """What the primary says of its WAL; see QUESTION. Times in seconds, sizes in bytes."""

    now: float
    lsn: str
    timeline: int
    segment_size: int
    archive_timeout: float
    acknowledged: str | None
    """The last segment, or history, of which it knows that it is in the archive."""
    waiting_bytes: int
    waiting_seconds: float


def main(arguments: list[str]) -> int:
    """One look, after one that is under way; where that hangs this one ends before cron starts the next."""
    try:
        host = read(BackupHost)
    except Failed as error:
        sys.exit(str(error))
    signal.alarm(50)
    with files.locked(host.locks / LOCK):
        signal.alarm(0)
        look(host, time.time())
    return 0


def look(host: BackupHost, now: float) -> None:
    """Ask, judge, report."""
    raised: list[Alert] = []
    figures = metrics.Gauges()
    figures.set("keel_archive_limit_bytes", "WAL that may wait for the archive.", host.archive_limit * alerts.MIB)
    figures.set("keel_archive_watch_timestamp_seconds", "When the archive was last looked at.", now)
    since, primary = now, None
    try:
        primary = ask_primary(host.server)
    except (Failed, ValueError) as error:
        raised.append(Alert("archive_primary", alerts.WARNING, f"no primary answers the backup host: {error}"))
    else:
        positions.remember(host.positions, primary.now, primary.timeline, primary.lsn)
        raised += waiting(host, primary, figures)
    try:
        found = repository(host)
        since = found.held.backups[0].timestamp.start if found.held.backups else now
        raised += archive(host, primary, figures, now, found)
    except (Failed, OSError, ValueError) as error:
        raised.append(Alert("archive_repository", alerts.CRITICAL, f"the repository cannot be read: {error}"))
    try:
        raised += alerts.certificates(certificates.ends(host.certificates), now)
    except (Failed, ValueError) as error:
        raised.append(Alert("certificate", alerts.WARNING, f"a certificate cannot be read: {error}"))
    raised += alerts.jobs(host.schedule, *last_runs(host.metrics), since, now)
    if copy_archive.SECOND in host.repositories:
        copied = metrics.read(host.metrics / copy_archive.METRICS)
        succeeded = metrics.value(copied, copy_archive.SUCCESS) or 0
        raised += alerts.copying(succeeded, int(metrics.value(copied, copy_archive.MISSING) or 0), now)
    active_alerts.publish(host.alerts, raised, now)
    for alert in raised:
        labels = {"alert": alert.name, "severity": alert.severity, "subject": alert.subject}
        figures.set("keel_alert", "1 for each active alert.", 1, **labels)
    with contextlib.suppress(OSError):  # a full volume: the alerts are told all the same
        figures.write(host.metrics / METRICS)


def ask_primary(server: str) -> Primary:
    """What waits on the primary and where its WAL is. Raises Failed."""
    where = f"{server} dbname=postgres options='-c statement_timeout=20s'"
    return build(Primary, json.loads(output("psql", "-d", where, "-XAtc", QUESTION, timeout=ANSWERS_WITHIN)))


def waiting(host: BackupHost, primary: Primary, figures: metrics.Gauges) -> list[Alert]:
    """What waits on the primary."""
    volume = os.statvfs(host.metrics)
    free = volume.f_bavail * volume.f_frsize
    figures.set("keel_archive_waiting_bytes", "WAL on the primary that waits for the archive.", primary.waiting_bytes)
    figures.set("keel_archive_waiting_seconds", "How long its oldest segment waits.", primary.waiting_seconds)
    figures.set("keel_repository_free_bytes", "Free space of the backup volume.", free)
    return [
        *alerts.waiting(primary.waiting_bytes, host.archive_limit * alerts.MIB, free),
        *alerts.stalled(primary.waiting_seconds, primary.archive_timeout),
    ]


@dataclass(frozen=True)
class Repository:
    """What the first repository holds: its stanza, and the files of its newest history with the time they were archived."""

    ask: Pgbackrest
    held: Stanza
    files: dict[str, float]


def repository(host: BackupHost) -> Repository:
    """Read it. Raises Failed or ValueError."""
    ask = Pgbackrest(host.stanza, (f"--repo={FIRST}",), as_root=True)
    # The listing comes before what is to be in it is known, or a backup that expires meanwhile would look like a gap.
    text = ask.ask("--output=json", "--recurse", "repo-ls", f"archive/{host.stanza}", timeout=ANSWERS_WITHIN)
    listing = {path: entry["time"] for path, entry in json.loads(text).items() if entry["type"] == "file"}
    held = ask.info(timeout=ANSWERS_WITHIN)
    newest = f"{held.archive[-1].id}/" if held.archive else ""
    return Repository(ask, held, {path: when for path, when in listing.items() if path.startswith(newest)})


def segment_of(path: str) -> str | None:
    """Name of the whole segment that a file of the archive holds."""
    found = ARCHIVED.fullmatch(path)
    return found[1] if found and not found[1].endswith(".partial") else None


def archive(
    host: BackupHost, primary: Primary | None, figures: metrics.Gauges, now: float, found: Repository
) -> list[Alert]:
    """Is the archive whole? Gaps are written down, and a full backup begins where one is needed."""
    if not found.held.backups:
        message = f"there is no backup: {found.held.status.message}"
        return [Alert("no_backup", alerts.CRITICAL, message)]
    lines = host.archive_gaps.read_text().splitlines() if host.archive_gaps.exists() else []
    known = gaps.recorded(lines)
    newest = max((when for path, when in found.files.items() if segment_of(path)), default=0)
    figures.set("keel_archive_last_success_timestamp_seconds", "When the newest segment was archived.", newest)
    current = known if primary is None else follow(host, primary, found, known, now)
    unreachable = sum(gap.is_unreachable for gap in current.values())
    figures.set("keel_archive_gaps", "Gaps in the archive whose moments cannot be reached.", unreachable)
    return list(alerts.archive_gaps(current.values()))


def follow(
    host: BackupHost, primary: Primary, found: Repository, known: dict[str, ArchiveGap], now: float
) -> dict[str, ArchiveGap]:
    """The gaps on the timelines that the primary comes from, and what is known of others."""
    size, told = primary.segment_size, primary.acknowledged or ""
    present = {wal.segment(name, size): when for path, when in found.files.items() if (name := segment_of(path))}
    acknowledged = wal.segment(told, size) if re.fullmatch("[0-9A-F]{24}", told) else None
    history = timeline_history(primary, found, present, acknowledged)
    if history is None:
        return known
    ranges = [gaps.backup_range(backup, size) for backup in found.held.backups]
    backups = [each for each in ranges if history.reads(each.first, size) and history.reads(each.last, size)]
    if not backups:
        return known
    begin = min(backup.first.number for backup in backups)
    missing = gaps.missing_ranges(history, size, present, begin, acknowledged, now - SETTLED)

    def before(position: int) -> float:
        """The last moment whose WAL is certainly before ``position``."""
        ended = [backup.stopped for backup in backups if (backup.last.number + 1) * size <= position]
        return max([positions.moment_before(host.positions, position, history, size), *ended])

    current = gaps.updated(missing, known, history, size, backups, gaps.Clock(utc, before, now))
    if changed := [gap for first, gap in current.items() if known.get(first) != gap]:
        files.append(host.archive_gaps, "".join(f"{gap.line}\n" for gap in changed))
    if gaps.wants_backup(missing, backups):
        begin_backup(host, now)
    return current


def timeline_history(
    primary: Primary, found: Repository, present: dict[Segment, float], acknowledged: Segment | None
) -> TimelineHistory | None:
    """Of the primary's timeline; None while its history is still to come."""
    known = timelines(found.files)
    newest = primary.timeline if primary.timeline in known else max([1, *known])
    path = found.held.history_file(found.held.archive[-1], newest)
    text = found.ask.ask("repo-get", path, timeout=ANSWERS_WITHIN) if newest > 1 else ""
    history = wal.ancestry(newest, text)
    if primary.timeline == newest:
        return history
    if acknowledged is None or acknowledged.timeline != primary.timeline:
        return None
    # A history is pushed before the first segment: where that was taken, the history was dropped with what lay before.
    begins = min([acknowledged.number, *(each.number for each in present if each.timeline == primary.timeline)])
    return history.forked(primary.timeline, begins * primary.segment_size)


def begin_backup(host: BackupHost, now: float) -> None:
    """A full backup in the background, one at a time, and not again at once where it failed."""
    status, _ = last_runs(host.metrics)
    started = runs(host.metrics, job.START).get("full", 0)
    if status.get("full") and started > now - AGAIN:
        return
    if subprocess.run(["systemctl", "is-active", "--quiet", BACKUP_UNIT], check=False).returncode:
        active_alerts.log("notice", "WAL is missing from the archive: a full backup begins")
        output("systemd-run", "--quiet", "--collect", f"--unit={BACKUP_UNIT}", str(host.library / "job"), "full")


def last_runs(folder: Path) -> tuple[dict[str, int], dict[str, float]]:
    """Job → last exit status, and job → last success."""
    return {name: int(code) for name, code in runs(folder, job.STATUS).items()}, runs(folder, job.SUCCESS)


def runs(folder: Path, name: str) -> dict[str, float]:
    """Job → value of one of the jobs' metrics."""
    return metrics.by_label(metrics.read(*folder.glob("job_*.prom")), name, "job")
