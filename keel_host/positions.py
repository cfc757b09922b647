"""Where the WAL was at which time: lines of seconds since 1970, timeline and LSN, so that a position can be given as a time."""

from __future__ import annotations

import contextlib
from pathlib import Path

from keel_host import files
from keel_host.wal import Segment, TimelineHistory, position

LARGEST = 4 * 2**20
"""Bytes of the file; then its older half goes."""


def remember(path: Path, now: float, timeline: int, lsn: str) -> None:
    """Add the position of this moment. A commit takes its time a moment before its place in the WAL."""
    files.append(path, f"{now - 1:.0f} {timeline} {lsn}\n")
    with contextlib.suppress(OSError):
        if path.stat().st_size > LARGEST:
            lines = path.read_text().splitlines(keepends=True)
            files.replace(path, "".join(lines[len(lines) // 2 :]))


def moment_before(path: Path, place: int, history: TimelineHistory, size: int) -> float:
    """The last written moment whose WAL ends before ``place`` (bytes) and is read on this timeline; 0 when there is none."""
    latest = 0.0
    for line in path.read_text().splitlines() if path.exists() else []:
        seconds, timeline, lsn = line.split()
        at = position(lsn)
        if at <= place and history.reads(Segment(int(timeline), at // size), size):
            latest = max(latest, float(seconds))
    return latest
