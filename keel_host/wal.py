"""WAL by numbers: positions, segments, and the ancestry of timelines."""

from __future__ import annotations

from dataclasses import dataclass

ROW = 2**32
"""Bytes of WAL that share the middle part of their segments' names."""
SEGMENT_SIZE = 16 * 2**20
"""Bytes of a segment where initdb was given no other size, as in every cluster of Keel's."""


@dataclass(frozen=True)
class Segment:
    """A WAL segment: its timeline and its number, counted from the beginning of all WAL."""

    timeline: int
    number: int


def segment(name: str, size: int = SEGMENT_SIZE) -> Segment:
    """The segment called ``name`` where segments have ``size`` bytes."""
    timeline, row, rest = (int(name[at : at + 8], 16) for at in (0, 8, 16))
    return Segment(timeline, row * (ROW // size) + rest)


def segment_name(wal: Segment, size: int = SEGMENT_SIZE) -> str:
    """Its file name."""
    row, rest = divmod(wal.number, ROW // size)
    return f"{wal.timeline:08X}{row:08X}{rest:08X}"


def segment_before(name: str) -> str | None:
    """Name of the segment before ``name`` on its timeline; None before the first, which is number 1."""
    wal = segment(name)
    return segment_name(Segment(wal.timeline, wal.number - 1)) if wal.number > 1 else None


def timeline_of(name: str) -> int:
    """The timeline that a segment's or a history's name begins with."""
    return int(name[:8], 16)


def position(lsn: str) -> int:
    """An LSN as a number of bytes."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn_of(at: int) -> str:
    """A number of bytes as an LSN."""
    return f"{at >> 32:X}/{at & 0xFFFFFFFF:X}"


@dataclass(frozen=True)
class TimelineHistory:
    """A timeline and those it descends from: which WAL a server on it has read."""

    timeline: int
    forks: tuple[tuple[int, int], ...] = ()
    """Its ancestors, oldest first: timeline, position in bytes at which it was left."""

    def includes(self, timeline: int, lsn: str) -> bool:
        """True if a server on this timeline has passed ``lsn`` of ``timeline``."""
        if timeline == self.timeline:
            return True
        return position(lsn) <= dict(self.forks).get(timeline, -1)

    def timeline_at(self, number: int, size: int) -> int:
        """The timeline on which segment ``number`` is read: after a fork the new one holds the segment of the fork, too."""
        return next((timeline for timeline, left in self.forks if number < left // size), self.timeline)

    def reads(self, wal: Segment, size: int) -> bool:
        """True if the segment is one that a server on this timeline reads."""
        return self.timeline_at(wal.number, size) == wal.timeline

    def newest_begins(self, size: int) -> int:
        """Number of the first segment of the timeline itself."""
        return self.forks[-1][1] // size if self.forks else 0

    def forked(self, timeline: int, left: int) -> TimelineHistory:
        """The history of ``timeline``, which left this one at position ``left``."""
        return TimelineHistory(timeline, (*self.forks, (self.timeline, left)))


def ancestry(timeline: int, history: str) -> TimelineHistory:
    """The history of ``timeline``, by its history file (lines of timeline, LSN of the fork, reason)."""
    rows = [line.split() for line in history.splitlines() if line.strip()]
    return TimelineHistory(timeline, tuple((int(row[0]), position(row[1])) for row in rows))
