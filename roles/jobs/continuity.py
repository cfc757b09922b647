"""Does the archive hold every WAL segment from the oldest backup to the newest, and which times are lost where it does not.

Data in, data out. The role installs this file beside the program `watch-archive`, which feeds it; the controller reads the
holes that were recorded. It therefore imports nothing but the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

ROW = 2**32
"""Bytes of WAL that share the middle part of their segments' names."""


@dataclass(frozen=True)
class Segment:
    """A WAL segment: its timeline and its number, counted from the beginning of all WAL."""

    timeline: int
    number: int


def segment(name: str, size: int) -> Segment:
    """The segment called ``name`` where segments have ``size`` bytes."""
    timeline, row, rest = (int(name[at : at + 8], 16) for at in (0, 8, 16))
    return Segment(timeline, row * (ROW // size) + rest)


def name_of(wal: Segment, size: int) -> str:
    """Its file name."""
    row, rest = divmod(wal.number, ROW // size)
    return f"{wal.timeline:08X}{row:08X}{rest:08X}"


def position(lsn: str) -> int:
    """An LSN as a number of bytes."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn_of(at: int) -> str:
    """A number of bytes as an LSN."""
    return f"{at >> 32:X}/{at & 0xFFFFFFFF:X}"


@dataclass(frozen=True)
class Way:
    """How WAL is read up to a timeline: (timeline, number of the first segment that is read on it), oldest first."""

    steps: tuple[tuple[int, int], ...]

    def timeline(self, number: int) -> int:
        """On which timeline the segment ``number`` is read: after a fork the new one holds what came before it, too."""
        return [timeline for timeline, begins in self.steps if begins <= number][-1]

    def holds(self, wal: Segment) -> bool:
        """True if the segment is one that is read."""
        return self.timeline(wal.number) == wal.timeline


def way(timeline: int, history: str, size: int) -> Way:
    """The way to ``timeline``, by its history file (lines of timeline, LSN of the fork, reason)."""
    steps, begins = [], 0
    for line in history.splitlines():
        if line.strip():
            before, fork, *_ = line.split()
            steps.append((int(before), begins))
            begins = position(fork) // size
    return Way((*steps, (timeline, begins)))


@dataclass(frozen=True)
class Made:
    """A backup: its first and last segment, whether it is full, and when it ended (seconds since 1970)."""

    first: Segment
    last: Segment
    full: bool
    stopped: float


@dataclass(frozen=True)
class Gap:
    """Segments ``first`` to ``last`` are missing; ``ended`` when WAL arrived after them."""

    first: int
    last: int
    ended: bool


def gaps(
    along: Way, present: Mapping[Segment, float], begin: int, acknowledged: Segment | None, settled: float
) -> list[Gap]:
    """What is missing between segment ``begin`` and the newest.

    ``present``: when each was archived, seconds since 1970. Missing is what the primary was told is in the archive, up to
    ``acknowledged``, and what lies before a segment that was archived before ``settled``: segments are pushed side by side, and
    an old primary may still bring its last ones.
    """
    read = {wal.number: when for wal, when in present.items() if wal.number >= begin and along.holds(wal)}
    whole = begin - 1
    """Up to there nothing is asked for."""
    sure = max((number for number, when in read.items() if when < settled), default=whole)
    current, forked = along.steps[-1]
    promised = acknowledged.number if acknowledged and acknowledged.timeline == current else whole
    absent = [
        number
        for number in range(begin, max(sure, promised) + 1)
        if number not in read and (number <= sure or number >= forked)
    ]
    runs: list[list[int]] = []
    for number in absent:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [Gap(run[0], run[-1], any(number > run[-1] for number in read)) for run in runs]


OPEN, COVERED, FILLED, EXPIRED = "open", "covered", "filled", "expired"


@dataclass(frozen=True)
class Hole:
    """WAL that the archive lacks, and the moments that cannot be reached for it. Times are ISO 8601 in UTC.

    ``state``: open: no backup was made after it; covered: one was; filled: the WAL came after all; expired: no backup that is
    kept needs it. Holes are recorded as lines of JSON, the last line for a ``first`` counts.
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
    def stands(self) -> bool:
        """True while the moments in it cannot be reached."""
        return self.state in (OPEN, COVERED)

    @property
    def timeline(self) -> int:
        """The timeline it begins on."""
        return int(self.first[:8], 16)

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


def recorded(lines: Iterable[str]) -> dict[str, Hole]:
    """The holes that were recorded, by their first segment."""
    holes = (Hole(**json.loads(line)) for line in lines if line.strip())
    return {hole.first: hole for hole in holes}


@dataclass(frozen=True)
class Clock:
    """How times are written and which moment is certainly before a position in the WAL."""

    write: Callable[[float], str]
    before: Callable[[int], float]
    now: float


def holes(
    found: Sequence[Gap], known: Mapping[str, Hole], along: Way, size: int, backups: Sequence[Made], clock: Clock
) -> dict[str, Hole]:
    """What is to be known of holes now, those that were ``known`` brought up to date. ``backups``: along the way, oldest first, at
    least one."""
    result = dict(known)
    present = {}
    for gap in found:
        first = name_of(Segment(along.timeline(gap.first), gap.first), size)
        before = known.get(first)
        after = [made.stopped for made in backups if made.first.number > gap.last]
        present[first] = Hole(
            first=first,
            last=name_of(Segment(along.timeline(gap.last), gap.last), size),
            segments=gap.last - gap.first + 1,
            begin=lsn_of(gap.first * size),
            end=lsn_of((gap.last + 1) * size),
            since=before.since if before else clock.write(clock.before(gap.first * size)),
            until=clock.write(after[0]) if after else "",
            found=before.found if before else clock.write(clock.now),
            state=COVERED if after else OPEN,
            acknowledged=bool(before and before.acknowledged),
        )
    oldest = min(made.first.number for made in backups) * size
    for first, hole in known.items():
        if hole.stands and position(hole.end) <= oldest:
            result[first] = replace(hole, state=EXPIRED)
        elif hole.stands and along.holds(segment(first, size)):
            result[first] = replace(hole, state=FILLED)
    return {**result, **present}


def wants_backup(found: Sequence[Gap], backups: Sequence[Made]) -> bool:
    """True if a full backup is to be made: WAL arrives again after a hole, and no full one was made since."""
    return any(gap.ended and not any(made.full and made.first.number > gap.last for made in backups) for gap in found)
