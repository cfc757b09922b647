"""Gaps in the WAL archive: does it hold every segment from the oldest backup to the newest, and which times are lost where not.

Data in, data out. `watch-archive` finds and records the gaps on the backup host; the controller reads the record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from keel_host.pgbackrest import Backup
from keel_host.typed import build
from keel_host.wal import Segment, TimelineHistory, lsn_of, position, segment, segment_name, timeline_of


@dataclass(frozen=True)
class BackupRange:
    """What a backup needs and when it ended: first and last segment, whether it is full, seconds since 1970."""

    first: Segment
    last: Segment
    full: bool
    stopped: float


def backup_range(backup: Backup, size: int) -> BackupRange:
    """That of a backup, where segments have ``size`` bytes."""
    first, last = (segment(name, size) for name in (backup.archive.start, backup.archive.stop))
    return BackupRange(first, last, backup.type == "full", backup.timestamp.stop)


@dataclass(frozen=True)
class MissingRange:
    """Segments ``first`` to ``last`` are missing; ``ended`` when WAL arrived after them."""

    first: int
    last: int
    ended: bool


def missing_ranges(
    history: TimelineHistory,
    size: int,
    present: Mapping[Segment, float],
    begin: int,
    acknowledged: Segment | None,
    settled: float,
) -> list[MissingRange]:
    """What is missing between segment ``begin`` and the newest.

    ``present``: when each was archived, seconds since 1970. Missing is what was acknowledged to the primary, up to
    ``acknowledged``, and what comes before a segment that was archived before ``settled``. Segments are pushed in parallel, and
    an old primary may still bring its last ones.
    """
    read = {wal.number: when for wal, when in present.items() if wal.number >= begin and history.reads(wal, size)}
    whole = begin - 1
    """Up to there nothing is asked for."""
    sure = max((number for number, when in read.items() if when < settled), default=whole)
    promised = acknowledged.number if acknowledged and acknowledged.timeline == history.timeline else whole
    absent = [
        number
        for number in range(begin, max(sure, promised) + 1)
        if number not in read and (number <= sure or number >= history.newest_begins(size))
    ]
    runs: list[list[int]] = []
    for number in absent:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [MissingRange(run[0], run[-1], any(number > run[-1] for number in read)) for run in runs]


OPEN, COVERED, FILLED, EXPIRED = "open", "covered", "filled", "expired"


@dataclass(frozen=True)
class ArchiveGap:
    """WAL that the archive lacks, and the moments that cannot be reached for it. Times are ISO 8601 in UTC.

    ``state``: open: no backup was made after it; covered: one was; filled: the WAL came after all; expired: no backup that is
    kept needs it. Gaps are recorded as lines of JSON, the last line for a ``first`` counts.
    """

    first: str
    last: str
    segments: int
    begin: str
    """LSN where it begins."""
    end: str
    """LSN where it ends."""
    since: str
    """Everything that was committed until then can be restored."""
    until: str
    """From then on every moment can be reached again; empty while there is no backup after it."""
    found: str
    state: str = OPEN
    acknowledged: bool = False

    @property
    def is_unreachable(self) -> bool:
        """True while the moments in it cannot be reached."""
        return self.state in (OPEN, COVERED)

    @property
    def timeline(self) -> int:
        """The timeline it begins on."""
        return timeline_of(self.first)

    @property
    def sentence(self) -> str:
        """Which moments are lost."""
        wal = f"WAL {self.first} to {self.last} is not in the archive"
        if not self.until:
            return (
                f"nothing that was committed after {self.since} can be restored: {wal}, and no backup was made after it"
            )
        return f"no moment between {self.since} and {self.until} can be restored: {wal}"

    @property
    def line(self) -> str:
        """Its record."""
        return json.dumps(asdict(self))


def recorded(lines: Iterable[str]) -> dict[str, ArchiveGap]:
    """The gaps that were recorded, by their first segment."""
    gaps = (build(ArchiveGap, json.loads(line)) for line in lines if line.strip())
    return {gap.first: gap for gap in gaps}


@dataclass(frozen=True)
class Clock:
    """How times are written and which moment is certainly before a position in the WAL."""

    write: Callable[[float], str]
    before: Callable[[int], float]
    now: float


def updated(
    missing: Sequence[MissingRange],
    known: Mapping[str, ArchiveGap],
    history: TimelineHistory,
    size: int,
    backups: Sequence[BackupRange],
    clock: Clock,
) -> dict[str, ArchiveGap]:
    """The gaps as they are now: those that were ``known``, brought up to date, and new ones. ``backups``: that a server on this
    timeline comes from, oldest first, at least one."""
    result = dict(known)
    present = {}
    for run in missing:
        first = segment_name(Segment(history.timeline_at(run.first, size), run.first), size)
        before = known.get(first)
        after = [backup.stopped for backup in backups if backup.first.number > run.last]
        present[first] = ArchiveGap(
            first=first,
            last=segment_name(Segment(history.timeline_at(run.last, size), run.last), size),
            segments=run.last - run.first + 1,
            begin=lsn_of(run.first * size),
            end=lsn_of((run.last + 1) * size),
            since=before.since if before else clock.write(clock.before(run.first * size)),
            until=clock.write(after[0]) if after else "",
            found=before.found if before else clock.write(clock.now),
            state=COVERED if after else OPEN,
            acknowledged=bool(before and before.acknowledged),
        )
    oldest = min(backup.first.number for backup in backups) * size
    for first, gap in known.items():
        if gap.is_unreachable and position(gap.end) <= oldest:
            result[first] = replace(gap, state=EXPIRED)
        elif gap.is_unreachable and history.reads(segment(first, size), size):
            result[first] = replace(gap, state=FILLED)
    return {**result, **present}


def wants_backup(missing: Sequence[MissingRange], backups: Sequence[BackupRange]) -> bool:
    """True if a full backup is needed: WAL arrives again after a gap, and no full one was made since."""
    return any(
        run.ended and not any(backup.full and backup.first.number > run.last for backup in backups) for run in missing
    )
