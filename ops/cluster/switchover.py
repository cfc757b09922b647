"""The primary moves from the controller: on demand, and before its host is replaced."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from environment.errors import UNCHANGED, Refused
from environment.report import Report
from environment.waiting import NotReached
from ops.cluster.patroni import PatroniRefused, asking, members
from ops.hosts.session import Session
from roles.postgres import patroni
from roles.postgres.switchover import Reach, switch_over

LONGEST = 600
"""Seconds that a host may take for one of its commands: a checkpoint of a large server."""


@dataclass(frozen=True)
class Move:
    """The primary moves, or has moved."""

    leader: str
    candidate: str


def plan(session: Session, to: str | None = None) -> Move:
    """From where to where the primary would move. Raises Refused: none leads, or ``to`` may not take over."""
    found = members(session)
    leader = next((member.name for member in found if member.leads), None)
    if leader is None:
        raise Refused("no member leads, so there is nothing to hand over", UNCHANGED, "Look at `./keel status`")
    if to == leader:
        raise Refused(f"{leader} leads already", UNCHANGED)
    if len(found) == 1:
        raise Refused(f"{leader} is the only server: no other can take over", UNCHANGED)
    if to is not None and to not in {member.name for member in found}:
        known = ", ".join(member.name for member in found)
        raise Refused(f"{to} is no member of the cluster; there are {known}", UNCHANGED)
    try:
        return Move(leader, patroni.await_candidate(session.manifest, partial(members, session), to))
    except NotReached as error:
        raise Refused(
            f"the primary stays on {leader}: {error}", UNCHANGED, "Look at `./keel status`, then run again"
        ) from error


def carry_out(session: Session, move: Move, report: Report) -> dict[str, float]:
    """Hand over; edge → seconds that its clients were held. Raises Refused; then ``move.leader`` was left running."""
    reach = Reach(asking(session), lambda host, command: session.run(host, command, timeout=LONGEST))
    try:
        return switch_over(session.manifest, reach, move.leader, move.candidate, report)
    except (PatroniRefused, NotReached) as error:
        raise Refused(
            f"the switchover from {move.leader} to {move.candidate} did not succeed: {error}",
            f"{move.leader} was left running",
        ) from error
