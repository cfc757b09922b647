"""Gaps in the archive, as the backup host recorded them (keel_host/gaps.py): moments that cannot be reached."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from environment.recovery import Form, RecoveryTarget
from keel_host.gaps import ArchiveGap, recorded
from keel_host.pgbackrest import Backup
from keel_host.wal import TimelineHistory, position
from ops.hosts.session import Session
from roles import paths


def unreachable(session: Session) -> list[ArchiveGap]:
    """The gaps whose moments cannot be reached, oldest first."""
    said = session.recorded(session.manifest.repository_host.name, paths.ARCHIVE_GAPS)
    return sorted(
        (gap for gap in recorded(said.splitlines()).values() if gap.is_unreachable), key=lambda gap: gap.since
    )


def acknowledge(session: Session) -> list[ArchiveGap]:
    """Silence the alerts of the gaps after which a backup was made; they stay listed, and are returned."""
    known = [gap for gap in unreachable(session) if gap.until and not gap.acknowledged]
    if known:
        lines = "\n".join(replace(gap, acknowledged=True).line for gap in known)
        session.run(session.manifest.repository_host.name, f"echo {shlex.quote(lines)} >> {paths.ARCHIVE_GAPS}")
    return known


def in_the_way(
    gaps: Iterable[ArchiveGap], begin: Backup, end: RecoveryTarget, at: str | None, history: TimelineHistory
) -> ArchiveGap | None:
    """The gap between ``begin`` and ``end``, if there is one. ``at``: the end's LSN where it has one; ``history``: of the
    timeline that the recovery follows. A transaction's place is not known: the recovery itself says whether it is there."""
    for gap in gaps:
        if position(begin.lsn.start) >= position(gap.end) or not history.includes(gap.timeline, gap.begin):
            continue
        beyond_time = end.moment and end.moment > datetime.fromisoformat(gap.since)
        beyond_place = at and position(at) > position(gap.begin)
        if end.form is Form.LATEST or beyond_time or beyond_place:
            return gap
    return None
