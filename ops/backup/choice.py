"""Which backup a recovery begins with, and whether the archive leads from it to the end."""

from __future__ import annotations

from collections.abc import Callable

from environment.errors import UNCHANGED, Refused
from environment.recovery import Form, RecoveryTarget
from ops.backup import gaps, repository, restore_points
from ops.backup.repository import Backup, Stanza
from ops.hosts.session import Session
from roles.jobs.continuity import position


def begin_with(
    session: Session,
    held: Stanza,
    end: RecoveryTarget,
    *,
    label: str | None = None,
    timeline: str = "latest",
    number: int | None = None,
) -> Backup:
    """The newest backup (or ``label``) from which a recovery along ``timeline`` can end at ``end``, of the nearest
    repository that has one (or of ``number``). Raises Refused."""
    fitting = [made for made in _along(session, held, timeline) if _ends_before(session, made, end)]
    if number:
        fitting = [made for made in fitting if made.repository == number]
    if label:
        fitting = [made for made in fitting if made.label == label]
    if not fitting:
        what = f"{label} is no backup that" if label else "no backup"
        what = f"in repository {number} {what}" if number else what
        raise Refused(
            (
                f"{what} ended before {end} on the way to timeline {timeline}; there are "
                f"{', '.join(made.label for made in held.backups) or 'none'}"
            ),
            UNCHANGED,
        )
    if end.form is Form.XID:  # which backups it came after is not known; the oldest one is right for each
        return fitting[0]
    return max(fitting, key=lambda made: (-made.repository, made.stopped))


def check_whole(
    session: Session, held: Stanza, begin: Backup, end: RecoveryTarget, *, timeline: str = "latest"
) -> None:
    """Raise Refused where the archive lacks WAL between ``begin`` and ``end``: the moment is lost."""
    known = gaps.standing(session)
    if not known:
        return
    at = _named(session, end) if end.form is Form.NAME else end.value if end.form is Form.LSN else None
    if hole := gaps.in_the_way(known, begin, end, at, _way(session, held, timeline)):
        raise Refused(f"{end} cannot be reached: {hole.sentence}", UNCHANGED)


def _along(session: Session, held: Stanza, timeline: str) -> list[Backup]:
    """The backups that lie on the way to ``timeline``."""
    passes = _way(session, held, timeline)
    return [made for made in held.backups if passes(made.timeline, made.lsn.stop)]


def _way(session: Session, held: Stanza, timeline: str) -> Callable[[int, str], bool]:
    """Whether an LSN of a timeline is on the way to ``timeline``: on it, or on one before it and before the fork."""
    newest = int(timeline) if timeline.isdecimal() else repository.newest_timeline(session, held)
    forks = repository.forks(session, held, newest)
    return lambda line, lsn: line == newest or (line in forks and position(lsn) <= position(forks[line]))


def _ends_before(session: Session, made: Backup, end: RecoveryTarget) -> bool:
    if end.moment:
        return made.stopped < end.moment
    if end.form is Form.LSN:
        return position(made.lsn.stop) <= position(end.value)
    if end.form is Form.NAME:
        return position(made.lsn.stop) <= position(_named(session, end))
    return True


def _named(session: Session, end: RecoveryTarget) -> str:
    """LSN of the restore point that ``end`` names. Raises Refused when it was not written down."""
    known = {point["name"]: point["lsn"] for point in restore_points.recorded(session)}
    if end.value not in known:
        raise Refused(
            f"no restore point {end.value!r} is recorded; `./keel backup list` shows those that are", UNCHANGED
        )
    return known[end.value]
