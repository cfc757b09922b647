"""The judgement of `./keel status`, as a function of what was found."""

from __future__ import annotations

from collections.abc import Iterator

from environment.types import Model
from ops.status.facts import Facts

WAITING_COMMITS = frozenset({"on", "remote_apply", "remote_write"})
"""Values of synchronous_commit with which a commit waits for the standby."""
SYNCHRONOUS = frozenset({"sync", "quorum"})
ENDING = 30
"""Days before its end at which a certificate is a problem. A converge signs it again 60 days before (environment/pki.py)."""
UNWATCHED = 300
"""Seconds without a check of the archive that mean that checks have stopped: they run every minute."""


class Verdict(Model):
    """What the facts amount to."""

    protected: bool
    """No commit acknowledged now is lost with the primary (design, "Durability, precisely")."""
    reason: str
    """Which standby confirms commits, or why none does."""
    problems: tuple[str, ...]
    well: bool
    """No problem, and protected where the environment has replicas."""

    @property
    def exit_status(self) -> int:
        """0 well, 1 degraded or unprotected."""
        return 0 if self.well else 1


def judge(facts: Facts) -> Verdict:
    """Protection and every problem, each as one sentence."""
    protected, reason = protection(facts)
    problems = tuple(_problems(facts))
    return Verdict(
        protected=protected, reason=reason, problems=problems, well=not problems and (protected or not facts.replicas)
    )


def protection(facts: Facts) -> tuple[bool, str]:
    """Whether every acknowledged commit is on a second server that a failover would choose, and why (not).

    Both sides must agree: PostgreSQL waits only for standbys it calls sync or quorum, Patroni promotes only members it
    calls sync_standby or quorum_standby.
    """
    if len(facts.writable) != 1:
        names = ", ".join(server.host for server in facts.writable)
        return False, f"several servers accept writes: {names}" if names else "no server accepts writes"
    primary = facts.writable[0]
    if not facts.replicas:
        return False, "this environment has no replica"
    if not elects(facts):
        return False, f"etcd has no majority: none can take over from {primary.host}"
    if not facts.synchronous_mode:
        return False, "Patroni's synchronous mode is off"
    if primary.synchronous_commit not in WAITING_COMMITS:
        return False, f"synchronous_commit is {primary.synchronous_commit} on {primary.host}: commits do not wait"
    waited_for = {s.name for s in primary.standbys if s.state == "streaming" and s.sync_state in SYNCHRONOUS}
    promotable = {m.name for m in facts.members if m.role in ("sync_standby", "quorum_standby")}
    both = sorted(waited_for & promotable)
    if not both:
        return False, f"no synchronous standby streams from {primary.host}"
    return True, f"{' and '.join(both)} confirm{'s' if len(both) == 1 else ''} every commit of {primary.host}"


def _problems(facts: Facts) -> Iterator[str]:
    for host in facts.hosts:
        if host.fault:
            yield f"{host.name}: {host.fault}"
        if host.failed_units:
            yield f"{host.name}: failed units: {', '.join(host.failed_units)}"
        if host.certificate_days is not None and host.certificate_days < ENDING:
            yield f"{host.name}: a certificate ends in {host.certificate_days} days; `pulumi up --refresh` signs it again"
    yield from _cluster(facts)
    yield from _store(facts)
    for name in facts.silent_poolers:
        yield f"{name}: PgBouncer does not answer"
    if facts.watch:
        if facts.watch.seconds_ago > UNWATCHED:
            yield f"the backup host has not checked the archive since {facts.watch.looked}"
        yield from (alert.text for alert in facts.watch.alerts if alert.severity == "critical")
    for redis in facts.redis:
        if redis.fault:
            yield f"{redis.host}: Redis: {redis.fault}"
    for head in facts.heads:
        if head.current != head.head:
            yield f"{head.product}: at revision {head.current or 'none'}, this checkout has {head.head}"


def elects(facts: Facts) -> bool:
    """Whether etcd has a majority: without it Patroni knows of no members, and none can take over."""
    return not facts.etcd or sum(facts.etcd.values()) * 2 > len(facts.etcd)


def _store(facts: Facts) -> Iterator[str]:
    silent = [name for name, answers in facts.etcd.items() if not answers]
    if elects(facts):
        yield from (f"{name}: etcd does not answer" for name in silent)
        return
    lost = f"etcd has no majority ({', '.join(silent)}), so no server can take over"
    if len(facts.writable) != 1:
        yield f"{lost}, and the primary has stopped: it goes on only while Patroni answers it on every other member"
        return
    (primary,) = facts.writable
    others = " and ".join(name for name in facts.expected_members if name != primary.host)
    if others:
        yield f"{lost}: {primary.host} goes on while Patroni answers it on {others}, and stops writing when one does not"
    else:
        yield f"{lost}: {primary.host}, the only server, goes on"


def _cluster(facts: Facts) -> Iterator[str]:
    found = {member.name for member in facts.members}
    for name in facts.expected_members if facts.members or elects(facts) else ():
        if name not in found:
            yield f"{name}: is no member of the PostgreSQL cluster"
    for member in facts.members:
        if not member.well:
            yield f"{member.name}: PostgreSQL is {member.state}"
        if member.pending_restart:
            yield f"{member.name}: PostgreSQL waits for a restart"
    answering = {server.host for server in facts.servers}
    for member in facts.members:
        if member.well and member.name not in answering:
            yield f"{member.name}: PostgreSQL does not answer on its own host"
    if len({member.timeline for member in facts.members if member.well and not member.delay}) > 1:
        yield "the members are on different timelines"
    if len(facts.writable) != 1:
        yield protection(facts)[1]
    if facts.paused:
        yield "Patroni is paused: no failover happens"
