"""Which backup a recovery begins with, and whether the archive leads from it to the end."""

from __future__ import annotations

from environment.errors import UNCHANGED, Refused
from environment.recovery import Form, RecoveryTarget
from keel_host.pgbackrest import Backup, Stanza
from keel_host.wal import TimelineHistory, position
from ops.backup import gaps, repository, restore_points
from ops.hosts.session import Session


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
    history = _history(session, held, timeline)
    passed = [made for made in held.backups if history.includes(made.timeline, made.lsn.stop)]
    fitting = [made for made in passed if _ends_before(session, made, end)]
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
    known = gaps.unreachable(session)
    if not known:
        return
    at = _named(session, end) if end.form is Form.NAME else end.value if end.form is Form.LSN else None
    if gap := gaps.in_the_way(known, begin, end, at, _history(session, held, timeline)):
        raise Refused(f"{end} cannot be reached: {gap.sentence}", UNCHANGED)


def _history(session: Session, held: Stanza, timeline: str) -> TimelineHistory:
    """The history of a timeline that is given by its number, or `latest`."""
    newest = int(timeline) if timeline.isdecimal() else repository.newest_timeline(session, held)
    return repository.timeline_history(session, held, newest)


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
