"""Is the archive whole, and which times are lost where it is not: over timelines, forks and segment sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from roles.jobs.continuity import (
    COVERED,
    EXPIRED,
    FILLED,
    OPEN,
    Clock,
    Gap,
    Hole,
    Made,
    Segment,
    gaps,
    holes,
    lsn_of,
    name_of,
    position,
    recorded,
    segment,
    wants_backup,
    way,
)

MIB = 2**20
SIZE = 16 * MIB
OLD, NEW = 0.0, 1000.0
"""When a segment was archived: long ago, or just now."""
SETTLED = 500.0
STRAIGHT = way(1, "", SIZE)
FORK = f"1\t{lsn_of(14 * SIZE + 4096)}\tno recovery target specified\n"
FORKED = way(2, FORK, SIZE)
"""Timeline 2 left timeline 1 within segment 14."""


def archived(timeline: int, *numbers: int, when: float = OLD) -> dict[Segment, float]:
    """These segments, archived at that time."""
    return {Segment(timeline, number): when for number in numbers}


@pytest.mark.parametrize(
    ("name", "size", "number"),
    [
        ("000000010000000000000001", SIZE, 1),
        ("0000000100000000000000FF", SIZE, 255),
        ("000000010000000100000000", SIZE, 256),
        ("0000000A0000000200000003", SIZE, 515),
        ("000000010000000100000000", 64 * MIB, 64),
        ("000000010000000100000FFF", MIB, 8191),
    ],
)
def test_segments_are_counted(name: str, size: int, number: int) -> None:
    found = segment(name, size)
    assert found == Segment(int(name[:8], 16), number)
    assert name_of(found, size) == name


def test_positions_are_counted() -> None:
    assert lsn_of(position("2/A0000028")) == "2/A0000028"
    assert lsn_of(position("1/FFFFFFFF")) == "1/FFFFFFFF"
    assert position("1/0") == 2**32
    assert position("1F/A0000028") == 0x1F_A0000028


def test_the_way_follows_the_history() -> None:
    """PLAT-34: after a fork the new timeline holds the segment in which it left the old one."""
    along = way(3, f"{FORK}2\t{lsn_of(20 * SIZE)}\tafter LSN\n", SIZE)
    assert along.steps == ((1, 0), (2, 14), (3, 20))
    assert [along.timeline(number) for number in (13, 14, 19, 20)] == [1, 2, 2, 3]
    assert along.holds(Segment(1, 13)) and not along.holds(Segment(1, 14))


def test_two_forks_within_one_segment() -> None:
    along = way(3, f"{FORK}2\t{lsn_of(14 * SIZE + 8192)}\tagain\n", SIZE)
    assert along.timeline(14) == 3 and along.timeline(13) == 1


def test_a_whole_archive_has_no_gap() -> None:
    assert gaps(STRAIGHT, archived(1, *range(5, 20)), 7, Segment(1, 19), SETTLED) == []
    both = archived(1, *range(5, 14)) | archived(2, *range(14, 20))
    assert gaps(FORKED, both, 5, Segment(2, 19), SETTLED) == []


def test_every_gap_is_found() -> None:
    """PLAT-31, JEEX-30."""
    present = archived(1, 5, 6, 9, 12, 13)
    assert gaps(STRAIGHT, present, 5, None, SETTLED) == [Gap(7, 8, True), Gap(10, 11, True)]
    assert gaps(STRAIGHT, present, 4, None, SETTLED)[0] == Gap(4, 4, True)


def test_what_is_still_on_its_way_is_no_gap() -> None:
    """Segments are pushed side by side: 7 may arrive after 8."""
    present = archived(1, 5, 6) | archived(1, 8, when=NEW)
    assert gaps(STRAIGHT, present, 5, None, SETTLED) == []
    assert gaps(STRAIGHT, present, 5, Segment(1, 6), SETTLED) == []


def test_what_was_dropped_is_a_gap_at_once() -> None:
    """The primary was told that it is in the archive, and nothing has come after it."""
    assert gaps(STRAIGHT, archived(1, 5, 6), 5, Segment(1, 12), SETTLED) == [Gap(7, 12, False)]
    later = archived(1, 5, 6) | archived(1, 13, when=NEW)
    assert gaps(STRAIGHT, later, 5, Segment(1, 13), SETTLED) == [Gap(7, 12, True)]


def test_what_a_dead_primary_kept_to_itself() -> None:
    """Streamed to the replica, which calls it archived, and never pushed; the new timeline begins behind it."""
    present = archived(1, 5, 6, 7) | archived(2, 14, 15)
    assert gaps(FORKED, present, 5, Segment(2, 15), SETTLED) == [Gap(8, 13, True)]
    # What lies on the abandoned timeline after the fork fills nothing.
    assert gaps(FORKED, present | archived(1, 14, 15), 5, Segment(2, 15), SETTLED) == [Gap(8, 13, True)]


def test_an_old_primary_may_still_bring_its_last_segments() -> None:
    """It archives them when it comes back, before it is rewound."""
    present = archived(1, 5, 6, 7) | archived(2, 14, when=NEW)
    assert gaps(FORKED, present, 5, Segment(2, 14), SETTLED) == []


def test_what_lies_on_a_timeline_that_was_left_fills_nothing() -> None:
    """PLAT-34: after the fork it is other WAL under a number of the same value."""
    present = archived(1, *range(5, 16)) | archived(2, 15)
    assert gaps(FORKED, present, 5, None, SETTLED) == [Gap(14, 14, True)]


def test_a_promise_holds_from_the_fork_on() -> None:
    """The segment in which the timeline was left belongs to the new one."""
    assert gaps(FORKED, archived(1, *range(5, 14)), 5, Segment(2, 15), SETTLED) == [Gap(14, 15, False)]


def test_what_came_just_now_says_nothing_of_what_lies_before_it() -> None:
    """Segments are pushed side by side."""
    for when in (SETTLED, NEW):
        assert gaps(STRAIGHT, archived(1, 5) | archived(1, 7, when=when), 5, None, SETTLED) == []
    assert gaps(STRAIGHT, archived(1, 6, when=NEW), 5, None, SETTLED) == []
    assert gaps(STRAIGHT, {}, 5, None, SETTLED) == []
    # A promise does; what came after it, at whatever time, ends the gap.
    assert gaps(STRAIGHT, archived(1, 5) | archived(1, 7, when=NEW), 5, Segment(1, 6), SETTLED) == [Gap(6, 6, True)]
    assert gaps(STRAIGHT, {}, 5, Segment(1, 7), SETTLED) == [Gap(5, 7, False)]


def test_a_promise_counts_on_its_own_timeline() -> None:
    """What a server was told before its timeline was left says nothing of the new one."""
    present = archived(1, 5, 6, 7, *range(8, 14)) | archived(2, 14, when=NEW)
    assert gaps(FORKED, present, 5, Segment(1, 20), SETTLED) == []


def test_a_gap_over_a_fork_is_one() -> None:
    present = archived(1, 5, 6, 7) | archived(2, 17)
    assert gaps(FORKED, present, 5, None, SETTLED) == [Gap(8, 16, True)]


def clock(times: dict[int, float] | None = None) -> Clock:
    """Times as whole seconds; ``times``: segment → last moment before it."""
    return Clock(lambda seconds: f"t{seconds:.0f}", lambda at: (times or {}).get(at // SIZE, 0), 900)


def made(first: int, last: int, stopped: float, *, full: bool = True, timeline: int = 1) -> Made:
    """A backup."""
    return Made(Segment(timeline, first), Segment(timeline, last), full, stopped)


FOUND = [Gap(8, 13, True)]
FIRST = made(5, 5, 100)


def test_a_hole_is_told_as_times() -> None:
    """From the last moment that is certainly before it to the end of the first backup after it."""
    (hole,) = holes(FOUND, {}, FORKED, SIZE, [FIRST], clock({8: 500})).values()
    assert (hole.first, hole.last) == ("000000010000000000000008", "00000001000000000000000D")
    assert (hole.segments, hole.begin, hole.end, hole.timeline) == (6, "0/8000000", "0/E000000", 1)
    assert (hole.since, hole.until, hole.found, hole.state) == ("t500", "", "t900", OPEN)
    assert "after t500 can be restored" in hole.sentence
    backups = [FIRST, made(13, 14, 600, timeline=2), made(15, 15, 700, timeline=2), made(20, 20, 800, timeline=2)]
    later = Clock(clock().write, lambda _: 0, 950)
    (covered,) = holes(FOUND, {hole.first: hole}, FORKED, SIZE, backups, later).values()
    assert (covered.since, covered.until, covered.found, covered.state) == ("t500", "t700", "t900", COVERED)
    assert "no moment between t500 and t700" in covered.sentence


def test_a_hole_ends() -> None:
    """When the WAL comes after all, or when no backup that is kept needs it; what was acknowledged stays so."""
    known = holes(FOUND, {}, FORKED, SIZE, [FIRST], clock())
    (first,) = known
    assert holes([], known, FORKED, SIZE, [FIRST], clock())[first].state == FILLED
    assert holes([], known, FORKED, SIZE, [made(14, 14, 9, timeline=2)], clock())[first].state == EXPIRED
    assert not holes([], known, FORKED, SIZE, [FIRST], clock())[first].stands
    acknowledged = recorded([known[first].line.replace('"acknowledged": false', '"acknowledged": true')])
    assert holes(FOUND, acknowledged, FORKED, SIZE, [FIRST], clock())[first].acknowledged


def test_a_hole_on_an_abandoned_timeline_is_remembered() -> None:
    """After a restore to before it nobody looks there any more."""
    known = holes([Gap(16, 17, True)], {}, STRAIGHT, SIZE, [FIRST], clock())
    assert holes([], known, FORKED, SIZE, [FIRST], clock()) == known


def test_holes_are_read_as_they_were_written() -> None:
    one = Hole("0" * 23 + "1", "0" * 23 + "1", 1, "0/1", "0/2", "a", "", "c")
    changed = recorded([one.line, one.line.replace('"open"', '"filled"'), ""])
    assert list(changed) == [one.first] and changed[one.first].state == FILLED
    assert not one.acknowledged and one.stands and one.state == OPEN
    assert Hole("0000001A" + "0" * 16, "", 1, *("",) * 5).timeline == 26


@pytest.mark.parametrize("state", [FILLED, EXPIRED])
def test_what_has_ended_stays_as_it_ended(state: str) -> None:
    known = holes(FOUND, {}, FORKED, SIZE, [FIRST], clock())
    ended = {first: replace(hole, state=state) for first, hole in known.items()}
    assert holes([], ended, FORKED, SIZE, [FIRST], clock()) == ended
    assert holes([], ended, FORKED, SIZE, [made(14, 14, 9, timeline=2)], clock()) == ended


def test_a_full_backup_is_wanted_once_wal_arrives_again() -> None:
    assert not wants_backup([Gap(8, 13, False)], [FIRST])
    assert wants_backup(FOUND, [FIRST])
    assert wants_backup(FOUND, [FIRST, made(15, 15, 9, full=False)])
    assert wants_backup(FOUND, [made(13, 15, 9)]), "it begins within the gap"
    assert not wants_backup(FOUND, [FIRST, made(14, 15, 9)])
    assert wants_backup([*FOUND, Gap(20, 21, True)], [made(15, 15, 9)]), "one gap of two"
