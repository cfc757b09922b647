"""Restart the members that wait for it, one at a time, so that the primary is away for as long as a switchover takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress

from environment import server_parameters
from environment.errors import KeelError
from environment.manifest import Manifest
from environment.report import Report
from environment.types import Group
from environment.waiting import NotReached
from roles.kit.declare import Effect
from roles.postgres import patroni
from roles.postgres.parameters import at_start, dynamic_configuration, parameters
from roles.postgres.patroni import Ask, Member
from roles.postgres.switchover import CHECKPOINT, Reach, held_throughout, switch_over

ROUNDS = 5
AFTER_LEASE = 8
"""Seconds at the most from the end of a lease to a write through the pooler: etcd ends it, replicas ask each other, one is
promoted, HAProxy and PgBouncer come to it."""


class StillWaiting(KeelError):
    """Members wait for a restart after as many rounds as should do: which."""


def effects(old: Manifest, new: Manifest) -> tuple[Effect, ...]:
    """What happens to each member when the cluster's configuration in etcd changes from ``old`` to ``new``."""
    before, after = parameters(old), parameters(new)
    known = server_parameters.known(new.release.postgres)

    def value(found: Mapping[str, str], name: str) -> str:
        return found.get(name) or (known[name].default if name in known else "0")

    def same(name: str) -> bool:
        """To the server, for which what no one sets is its default."""
        one, other = value(before, name), value(after, name)
        return known[name].same(one, other) if name in known else before.get(name) == after.get(name)

    differing = {name for name in before.keys() | after.keys() if not same(name)}
    if at_start(new, differing):
        reasons = {name: {"old_value": value(before, name), "new_value": value(after, name)} for name in differing}
        return (Effect("PostgreSQL", "restarts", order(new, patroni.lowers(reasons))),)
    if differing:
        return (Effect("PostgreSQL", "reloads"),)
    if dynamic_configuration(old) == dynamic_configuration(new):
        return ()
    return (Effect("Patroni", "reloads", timing(new) if timing(old) != timing(new) else ""),)


def timing(manifest: Manifest) -> str:
    """How long writes stop when the primary's host is lost, in words: the arithmetic of docs/runbooks/failover.md."""
    patroni = manifest.patroni
    return (
        f"a lost primary host costs at most {patroni.ttl} s of lease and {AFTER_LEASE} s; "
        f"the primary gives up after {patroni.retry_timeout} s without etcd and a replica"
    )


def order(manifest: Manifest, lowers: bool = False) -> str:
    """How members restart one after the other, in words."""
    if lowers:
        return "the primary first, without a switchover: a replica must not have less than its primary"
    if not _hands_over(manifest):
        return "replicas first, the primary last, without a switchover"
    return "replicas first, then a switchover, the old primary last"


def _hands_over(manifest: Manifest) -> bool:
    """True if there is a replica that may lead: not one that stays behind on purpose."""
    return manifest.postgres.replicas > len(manifest.postgres.apply_delay)


def restart_all(
    manifest: Manifest, reach: Reach, host: str, await_configuration: Callable[[], None], report: Report
) -> None:
    """Replicas one by one, then switchover and the old leader; to lower a value, the leader first, in its place.

    ``host`` is the member that is asked about all. Each round looks again; raises StillWaiting when members still wait after
    five, NotReached when one does not come back, OpenTransactions before the leader hands over.
    """
    ask = reach.ask

    def look() -> list[Member]:
        return patroni.members_of(manifest, ask(host, "/cluster"))

    for _ in range(ROUNDS):
        members = patroni.await_members(look, patroni.healthy, "every member to run before the restarts", 60)
        replicas = [m.name for m in members if m.pending_restart and not m.leads]
        leader = next(m for m in members if m.leads)
        if not replicas and not leader.pending_restart:
            return
        if leader.lowers:
            _restart_in_its_place(manifest, reach, look, leader.name, report)
            # The replicas must have replayed the lower value, and told so, before they can start with it.
            await_configuration()
            continue
        for name in replicas:
            _restart(ask, look, name)
        if leader.pending_restart:
            _restart_leader(manifest, reach, look, leader.name, report)
    waiting = [member.name for member in look() if member.pending_restart]
    if waiting:
        raise StillWaiting(
            f"{', '.join(waiting)} still wait(s) for a restart after {ROUNDS} rounds",
            advice="Look at `patronictl list`",
        )


def move_from(manifest: Manifest, reach: Reach, host: str, report: Report) -> None:
    """Let another member lead if ``host`` does; nothing where no other can, or Patroni there does not answer: then what comes next
    costs clients what it costs. Raises OpenTransactions with nothing changed."""

    def look() -> list[Member]:
        return patroni.members_of(manifest, reach.ask(host, "/cluster"))

    try:
        if not _hands_over(manifest) or not any(member.leads and member.name == host for member in look()):
            return
        candidate = patroni.await_candidate(manifest, look)
    except (KeelError, json.JSONDecodeError) as error:
        report(f"{host} stays the primary: {error}")
        return
    switch_over(manifest, reach, host, candidate, report, patroni.healthy)


def _restart_leader(
    manifest: Manifest, reach: Reach, look: Callable[[], list[Member]], leader: str, report: Report
) -> None:
    """After it has handed over; in its place where there is no replica but delayed ones."""
    if _hands_over(manifest):
        candidate = patroni.await_candidate(manifest, look)
        switch_over(manifest, reach, leader, candidate, report, patroni.healthy)
        if _waits(look(), leader):
            _restart(reach.ask, look, leader)
    else:
        _restart_in_its_place(manifest, reach, look, leader, report)


def _restart_in_its_place(
    manifest: Manifest, reach: Reach, look: Callable[[], list[Member]], leader: str, report: Report
) -> None:
    """Restart the primary while the clients of the pooler are held. Raises OpenTransactions with nothing changed."""
    report(f"{leader} restarts in its place: checkpoint")
    reach.run(leader, CHECKPOINT)
    with held_throughout(reach, [host.name for host in manifest.carrying(Group.EDGE)], leader, report):
        # Patroni answers when its server runs. What it says of it in etcd follows seconds later, without clients waiting.
        reach.ask(leader, "/restart", {})
    _await_restarted(look, leader)


def _restart(ask: Ask, look: Callable[[], list[Member]], name: str) -> None:
    """Restart one member and wait until it runs, for a while also until it no longer asks for a restart: a replica
    that started before it had replayed its primary's lower value asks again, and the next round sees it."""
    ask(name, "/restart", {})
    _await_restarted(look, name)


def _await_restarted(look: Callable[[], list[Member]], name: str) -> None:
    patroni.await_members(look, patroni.healthy, f"{name} to run after its restart", 60)
    with suppress(NotReached):
        patroni.await_members(look, lambda now: not _waits(now, name), f"{name} to ask for no restart", 10)


def _waits(members: list[Member], name: str) -> bool:
    return any(member.name == name and member.pending_restart for member in members)
