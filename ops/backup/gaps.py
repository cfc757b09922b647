"""Holes in the archive, as the backup host recorded them (roles/jobs/templates/watch-archive): moments that cannot be reached."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from environment.recovery import Form, RecoveryTarget
from ops.backup.repository import Backup
from ops.hosts.session import Session
from roles import paths
from roles.jobs.continuity import Hole, position, recorded


def standing(session: Session) -> list[Hole]:
    """The holes whose moments cannot be reached, oldest first."""
    said = session.recorded(session.manifest.repository_host.name, paths.HOLES)
    return sorted((hole for hole in recorded(said.splitlines()).values() if hole.stands), key=lambda hole: hole.since)


def acknowledge(session: Session) -> list[Hole]:
    """Silence the alerts of the holes after which a backup was made; they stay listed, and are returned."""
    known = [hole for hole in standing(session) if hole.until and not hole.acknowledged]
    if known:
        lines = "\n".join(replace(hole, acknowledged=True).line for hole in known)
        session.run(session.manifest.repository_host.name, f"echo {shlex.quote(lines)} >> {paths.HOLES}")
    return known


def in_the_way(
    holes: Iterable[Hole], begin: Backup, end: RecoveryTarget, at: str | None, passes: Callable[[int, str], bool]
) -> Hole | None:
    """The hole between ``begin`` and ``end``, if there is one. ``at``: the end's LSN where it has one; ``passes``: whether the
    recovery reads a timeline at an LSN. A transaction's place is not known: the recovery itself says whether it is there."""
    for hole in holes:
        if position(begin.lsn.start) >= position(hole.end) or not passes(hole.timeline, hole.begin):
            continue
        beyond_time = end.moment and end.moment > datetime.fromisoformat(hole.since)
        beyond_place = at and position(at) > position(hole.begin)
        if end.form is Form.LATEST or beyond_time or beyond_place:
            return hole
    return None
