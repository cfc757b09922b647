"""WAL by numbers: segments, positions, and the ancestry of timelines."""

from __future__ import annotations

import pytest

from keel_host.wal import (
    Segment,
    TimelineHistory,
    ancestry,
    lsn_of,
    position,
    segment,
    segment_before,
    segment_name,
    timeline_of,
)

MIB = 2**20
SIZE = 16 * MIB
FORK = f"1\t{lsn_of(14 * SIZE + 4096)}\tno recovery target specified\n"
"""Timeline 2 left timeline 1 within segment 14."""


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
    assert segment_name(found, size) == name


def test_positions_are_counted() -> None:
    assert lsn_of(position("2/A0000028")) == "2/A0000028"
    assert lsn_of(position("1/FFFFFFFF")) == "1/FFFFFFFF"
    assert position("1/0") == 2**32
    assert position("1F/A0000028") == 0x1F_A0000028


def test_a_history_says_where_each_segment_is_read() -> None:
    """PLAT-34: after a fork the new timeline holds the segment in which it left the old one."""
    history = ancestry(3, f"{FORK}2\t{lsn_of(20 * SIZE)}\tafter LSN\n")
    assert history.forks == ((1, 14 * SIZE + 4096), (2, 20 * SIZE)) and history.newest_begins(SIZE) == 20
    assert [history.timeline_at(number, SIZE) for number in (13, 14, 19, 20)] == [1, 2, 2, 3]
    assert history.reads(Segment(1, 13), SIZE) and not history.reads(Segment(1, 14), SIZE)


def test_two_forks_within_one_segment() -> None:
    history = ancestry(3, f"{FORK}2\t{lsn_of(14 * SIZE + 8192)}\tagain\n")
    assert history.timeline_at(14, SIZE) == 3 and history.timeline_at(13, SIZE) == 1


def test_a_server_has_passed_what_lies_before_the_fork() -> None:
    """PLAT-34: to the byte; of its own timeline everything, of one that is no ancestor nothing."""
    history = ancestry(3, "1\t0/1000\tx\n\n2\t0/2000\ty\n")
    assert [history.includes(1, lsn) for lsn in ("0/1000", "0/1001")] == [True, False]
    assert [history.includes(2, lsn) for lsn in ("0/2000", "0/2001")] == [True, False]
    assert history.includes(3, "F/0") and not history.includes(4, "0/0")


def test_a_timeline_without_a_history_has_no_ancestors() -> None:
    alone = ancestry(1, "")
    assert alone == TimelineHistory(1) and alone.newest_begins(SIZE) == 0
    assert alone.reads(Segment(1, 0), SIZE) and not alone.reads(Segment(2, 0), SIZE)
    assert alone.forked(2, 14 * SIZE + 4096) == ancestry(2, FORK)


@pytest.mark.parametrize(
    ("name", "one_before"),
    [
        ("000000020000000000000001", None), ("000000020000000000000002", "000000020000000000000001"),
        ("000000020000000100000000", "0000000200000000000000FF"), ("0000000200000001000000FF", "0000000200000001000000FE"),
    ],
)  # fmt: skip
def test_segments_are_followed_one_by_one(name: str, one_before: str | None) -> None:
    assert segment_before(name) == one_before


def test_a_name_begins_with_its_timeline() -> None:
    assert timeline_of("0000001A0000000000000001") == timeline_of("0000001A.history") == 26
