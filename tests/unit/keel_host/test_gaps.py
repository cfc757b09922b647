"""Is the archive whole, and which times are lost where it is not: over timelines, forks and segment sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keel_host.gaps import (
    COVERED,
    EXPIRED,
    FILLED,
    OPEN,
    ArchiveGap,
    BackupRange,
    Clock,
    MissingRange,
    missing_ranges,
    recorded,
    updated,
    wants_backup,
)
from keel_host.wal import Segment, ancestry, lsn_of

MIB = 2**20
SIZE = 16 * MIB
OLD, NEW = 0.0, 1000.0
"""When a segment was archived: long ago, or just now."""
SETTLED = 500.0
STRAIGHT = ancestry(1, "")
FORK = f"1\t{lsn_of(14 * SIZE + 4096)}\tno recovery target specified\n"
FORKED = ancestry(2, FORK)
"""Timeline 2 left timeline 1 within segment 14."""


def archived(timeline: int, *numbers: int, when: float = OLD) -> dict[Segment, float]:
    """These segments, archived at that time."""
    return {Segment(timeline, number): when for number in numbers}


def test_a_whole_archive_has_no_gap() -> None:
    assert missing_ranges(STRAIGHT, SIZE, archived(1, *range(5, 20)), 7, Segment(1, 19), SETTLED) == []
    both = archived(1, *range(5, 14)) | archived(2, *range(14, 20))
    assert missing_ranges(FORKED, SIZE, both, 5, Segment(2, 19), SETTLED) == []


def test_every_gap_is_found() -> None:
    """PLAT-31, JEEX-30."""
    present = archived(1, 5, 6, 9, 12, 13)
    assert missing_ranges(STRAIGHT, SIZE, present, 5, None, SETTLED) == [
        MissingRange(7, 8, True),
        MissingRange(10, 11, True),
    ]
    assert missing_ranges(STRAIGHT, SIZE, present, 4, None, SETTLED)[0] == MissingRange(4, 4, True)


def test_what_is_still_on_its_way_is_no_gap() -> None:
    """Segments are pushed side by side: 7 may arrive after 8."""
    present = archived(1, 5, 6) | archived(1, 8, when=NEW)
    assert missing_ranges(STRAIGHT, SIZE, present, 5, None, SETTLED) == []
    assert missing_ranges(STRAIGHT, SIZE, present, 5, Segment(1, 6), SETTLED) == []


def test_what_was_dropped_is_a_gap_at_once() -> None:
    """The primary was told that it is in the archive, and nothing has come after it."""
    assert missing_ranges(STRAIGHT, SIZE, archived(1, 5, 6), 5, Segment(1, 12), SETTLED) == [MissingRange(7, 12, False)]
    later = archived(1, 5, 6) | archived(1, 13, when=NEW)
    assert missing_ranges(STRAIGHT, SIZE, later, 5, Segment(1, 13), SETTLED) == [MissingRange(7, 12, True)]


def test_what_a_dead_primary_kept_to_itself() -> None:
    """Streamed to the replica, which calls it archived, and never pushed; the new timeline begins behind it."""
    present = archived(1, 5, 6, 7) | archived(2, 14, 15)
    assert missing_ranges(FORKED, SIZE, present, 5, Segment(2, 15), SETTLED) == [MissingRange(8, 13, True)]
    # What lies on the abandoned timeline after the fork fills nothing.
    assert missing_ranges(FORKED, SIZE, present | archived(1, 14, 15), 5, Segment(2, 15), SETTLED) == [
        MissingRange(8, 13, True)
    ]


def test_an_old_primary_may_still_bring_its_last_segments() -> None:
    """It archives them when it comes back, before it is rewound."""
    present = archived(1, 5, 6, 7) | archived(2, 14, when=NEW)
    assert missing_ranges(FORKED, SIZE, present, 5, Segment(2, 14), SETTLED) == []


def test_what_lies_on_a_timeline_that_was_left_fills_nothing() -> None:
    """PLAT-34: after the fork it is other WAL under a number of the same value."""
    present = archived(1, *range(5, 16)) | archived(2, 15)
    assert missing_ranges(FORKED, SIZE, present, 5, None, SETTLED) == [MissingRange(14, 14, True)]


def test_a_promise_holds_from_the_fork_on() -> None:
    """The segment in which the timeline was left belongs to the new one."""
    assert missing_ranges(FORKED, SIZE, archived(1, *range(5, 14)), 5, Segment(2, 15), SETTLED) == [
        MissingRange(14, 15, False)
    ]


def test_what_came_just_now_says_nothing_of_what_lies_before_it() -> None:
    """Segments are pushed side by side."""
    for when in (SETTLED, NEW):
        assert missing_ranges(STRAIGHT, SIZE, archived(1, 5) | archived(1, 7, when=when), 5, None, SETTLED) == []
    assert missing_ranges(STRAIGHT, SIZE, archived(1, 6, when=NEW), 5, None, SETTLED) == []
    assert missing_ranges(STRAIGHT, SIZE, {}, 5, None, SETTLED) == []
    # A promise does; what came after it, at whatever time, ends the gap.
    assert missing_ranges(STRAIGHT, SIZE, archived(1, 5) | archived(1, 7, when=NEW), 5, Segment(1, 6), SETTLED) == [
        MissingRange(6, 6, True)
    ]
    assert missing_ranges(STRAIGHT, SIZE, {}, 5, Segment(1, 7), SETTLED) == [MissingRange(5, 7, False)]


def test_a_promise_counts_on_its_own_timeline() -> None:
    """What a server was told before its timeline was left says nothing of the new one."""
    present = archived(1, 5, 6, 7, *range(8, 14)) | archived(2, 14, when=NEW)
    assert missing_ranges(FORKED, SIZE, present, 5, Segment(1, 20), SETTLED) == []


def test_a_gap_over_a_fork_is_one() -> None:
    present = archived(1, 5, 6, 7) | archived(2, 17)
    assert missing_ranges(FORKED, SIZE, present, 5, None, SETTLED) == [MissingRange(8, 16, True)]


def clock(times: dict[int, float] | None = None) -> Clock:
    """Times as whole seconds; ``times``: segment → last moment before it."""
    return Clock(lambda seconds: f"t{seconds:.0f}", lambda at: (times or {}).get(at // SIZE, 0), 900)


def made(first: int, last: int, stopped: float, *, full: bool = True, timeline: int = 1) -> BackupRange:
    """A backup."""
    return BackupRange(Segment(timeline, first), Segment(timeline, last), full, stopped)


FOUND = [MissingRange(8, 13, True)]
FIRST = made(5, 5, 100)


def test_a_gap_is_told_as_times() -> None:
    """From the last moment that is certainly before it to the end of the first backup after it."""
    (gap,) = updated(FOUND, {}, FORKED, SIZE, [FIRST], clock({8: 500})).values()
    assert (gap.first, gap.last) == ("000000010000000000000008", "00000001000000000000000D")
    assert (gap.segments, gap.begin, gap.end, gap.timeline) == (6, "0/8000000", "0/E000000", 1)
    assert (gap.since, gap.until, gap.found, gap.state) == ("t500", "", "t900", OPEN)
    assert "after t500 can be restored" in gap.sentence
    backups = [FIRST, made(13, 14, 600, timeline=2), made(15, 15, 700, timeline=2), made(20, 20, 800, timeline=2)]
    later = Clock(clock().write, lambda _: 0, 950)
    (covered,) = updated(FOUND, {gap.first: gap}, FORKED, SIZE, backups, later).values()
    assert (covered.since, covered.until, covered.found, covered.state) == ("t500", "t700", "t900", COVERED)
    assert "no moment between t500 and t700" in covered.sentence


def test_a_recorded_gap_ends() -> None:
    """When the WAL comes after all, or when no backup that is kept needs it; what was acknowledged stays so."""
    known = updated(FOUND, {}, FORKED, SIZE, [FIRST], clock())
    (first,) = known
    assert updated([], known, FORKED, SIZE, [FIRST], clock())[first].state == FILLED
    assert updated([], known, FORKED, SIZE, [made(14, 14, 9, timeline=2)], clock())[first].state == EXPIRED
    assert not updated([], known, FORKED, SIZE, [FIRST], clock())[first].is_unreachable
    acknowledged = recorded([known[first].line.replace('"acknowledged": false', '"acknowledged": true')])
    assert updated(FOUND, acknowledged, FORKED, SIZE, [FIRST], clock())[first].acknowledged


def test_a_recorded_gap_on_an_abandoned_timeline_is_remembered() -> None:
    """After a restore to before it nobody looks there any more."""
    known = updated([MissingRange(16, 17, True)], {}, STRAIGHT, SIZE, [FIRST], clock())
    assert updated([], known, FORKED, SIZE, [FIRST], clock()) == known


def test_gaps_are_read_as_they_were_written() -> None:
    one = ArchiveGap("0" * 23 + "1", "0" * 23 + "1", 1, "0/1", "0/2", "a", "", "c")
    changed = recorded([one.line, one.line.replace('"open"', '"filled"'), ""])
    assert list(changed) == [one.first] and changed[one.first].state == FILLED
    assert not one.acknowledged and one.is_unreachable and one.state == OPEN
    assert ArchiveGap("0000001A" + "0" * 16, "", 1, *("",) * 5).timeline == 26


@pytest.mark.parametrize("state", [FILLED, EXPIRED])
def test_what_has_ended_stays_as_it_ended(state: str) -> None:
    known = updated(FOUND, {}, FORKED, SIZE, [FIRST], clock())
    ended = {first: replace(gap, state=state) for first, gap in known.items()}
    assert updated([], ended, FORKED, SIZE, [FIRST], clock()) == ended
    assert updated([], ended, FORKED, SIZE, [made(14, 14, 9, timeline=2)], clock()) == ended


def test_a_full_backup_is_wanted_once_wal_arrives_again() -> None:
    assert not wants_backup([MissingRange(8, 13, False)], [FIRST])
    assert wants_backup(FOUND, [FIRST])
    assert wants_backup(FOUND, [FIRST, made(15, 15, 9, full=False)])
    assert wants_backup(FOUND, [made(13, 15, 9)]), "it begins within the gap"
    assert not wants_backup(FOUND, [FIRST, made(14, 15, 9)])
    assert wants_backup([*FOUND, MissingRange(20, 21, True)], [made(15, 15, 9)]), "one gap of two"


def test_a_record_of_earlier_releases_is_read() -> None:
    """PLAT-34: an environment that exists must not forget its gaps, nor ask again for what was acknowledged."""
    line = (
        '{"first": "000000010000000000000007", "last": "000000010000000000000008", "segments": 2, "begin": "0/7000000", '
        '"end": "0/9000000", "since": "2026-11-22T09:30:00+00:00", "until": "2026-11-22T10:30:00+00:00", '
        '"found": "2026-11-22T10:00:00+00:00", "state": "covered", "acknowledged": true}'
    )
    (gap,) = recorded([line]).values()
    assert (gap.begin, gap.acknowledged, gap.is_unreachable) == ("0/7000000", True, True)
