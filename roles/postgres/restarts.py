"""Restart the members that wait for it, one at a time, so that the primary is away for as long as a switchover takes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from environment.errors import KeelError
from environment.manifest import Manifest
from environment.waiting import NotReached
from roles.postgres import patroni
from roles.postgres.patroni import Ask, Member

ROUNDS = 5


class StillWaiting(KeelError):
    """Members wait for a restart after as many rounds as should do: which."""


def restart_all(manifest: Manifest, ask: Ask, host: str, await_configuration: Callable[[], None]) -> None:
    """Replicas one by one, then switchover and the old leader; to lower a value, the leader first, in its place.

    ``host`` is the member that is asked about all. Each round looks again; raises StillWaiting when members still wait after
    five, NotReached when one does not come back.
    """

    def look() -> list[Member]:
        return patroni.members_of(manifest, ask(host, "/cluster"))

    for _ in range(ROUNDS):
        members = patroni.await_members(look, patroni.healthy, "every member to run before the restarts", 60)
        replicas = [m.name for m in members if m.pending_restart and not m.leads]
        leader = next(m for m in members if m.leads)
        if not replicas and not leader.pending_restart:
            return
        if leader.lowers:
            _restart(ask, look, leader.name)
            # The replicas must have replayed the lower value, and told so, before they can start with it.
            await_configuration()
            continue
        for name in replicas:
            _restart(ask, look, name)
        if leader.pending_restart:
            _restart_leader(manifest, ask, look, leader.name)
    waiting = [member.name for member in look() if member.pending_restart]
    if waiting:
        raise StillWaiting(
            f"{', '.join(waiting)} still wait(s) for a restart after {ROUNDS} rounds",
            advice="Look at `patronictl list`",
        )


def _restart_leader(manifest: Manifest, ask: Ask, look: Callable[[], list[Member]], leader: str) -> None:
    """After it has handed over; in its place where there is no replica but delayed ones."""
    if manifest.postgres.replicas > len(manifest.postgres.apply_delay):
        candidate = patroni.await_candidate(manifest, look)
        patroni.hand_over(ask, leader, candidate)
        patroni.await_members(
            look,
            lambda now: patroni.healthy(now) and any(m.leads and m.name == candidate for m in now),
            f"the switchover from {leader} to {candidate}",
            60,
        )
    if _waits(look(), leader):
        _restart(ask, look, leader)


def _restart(ask: Ask, look: Callable[[], list[Member]], name: str) -> None:
    """Restart one member and wait until it runs, for a while also until it no longer asks for a restart: a replica
    that started before it had replayed its primary's lower value asks again, and the next round sees it."""
    ask(name, "/restart", {})
    patroni.await_members(look, patroni.healthy, f"{name} to run after its restart", 60)
    with suppress(NotReached):
        patroni.await_members(look, lambda now: not _waits(now, name), f"{name} to ask for no restart", 10)


def _waits(members: list[Member], name: str) -> bool:
    return any(member.name == name and member.pending_restart for member in members)
