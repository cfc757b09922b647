"""etcd's processes are away, and the primary's host is dead: what goes on, what stops, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from environment.types import Group
from environment.waiting import until
from ops.hosts.docker import docker
from ops.hosts.session import Session
from tests.system.environments import Ephemeral
from tests.system.test_36_failover import await_whole, leader_and_replica, while_a_client_writes
from tests.system.test_36_switchover import client


@contextmanager
def without_etcd(session: Session, primary: str) -> Iterator[None]:
    """All members of the store but the primary's own are stopped."""
    stopped = [host.name for host in session.manifest.carrying(Group.ETCD) if host.name != primary]
    for host in stopped:
        session.run(host, "systemctl stop etcd.service")
    try:
        yield
    finally:
        for host in stopped:
            session.run(host, "systemctl start --no-block etcd.service")


def status(twin: Ephemeral) -> dict[str, Any]:
    """The verdict of `./keel status`."""
    verdict: dict[str, Any] = json.loads(twin.keel("status", "--json", check=False).stdout)["verdict"]
    return verdict


def test_without_etcd_the_primary_goes_on_while_it_reaches_every_member(twin: Ephemeral) -> None:
    """JEEX-31, PLAT-42: for longer than its lease; with a member away too it stops, and readers still get in."""
    with twin.session() as session:
        await_whole(session)
        leader, replica = leader_and_replica(session)
        lease = timedelta(seconds=session.manifest.patroni.ttl)
        with while_a_client_writes(twin, session) as writer:
            with without_etcd(session, leader.name):
                began = datetime.now(UTC)
                writer.await_rows(20, since=began + lease + timedelta(seconds=5), limit=90)
                (problem,) = [each for each in status(twin)["problems"] if "etcd" in each]
                assert f"{leader.name} goes on while Patroni answers it on {replica}" in problem
                session.run(replica, "systemctl stop patroni.service")
                try:
                    _stopped(session, twin, leader.name)
                finally:
                    session.run(replica, "systemctl start --no-block patroni.service")
            writer.await_rows(20, since=datetime.now(UTC))


def _stopped(session: Session, twin: Ephemeral, primary: str) -> None:
    """The primary takes no write any more, the status says why, and who only reads gets in."""
    recovering = "psql -U postgres -d postgres -XAtc 'select pg_is_in_recovery()' || true"
    until(lambda: session.run(primary, recovering).strip() == "t", 60, "the primary to stop", every=1)
    problems = status(twin)["problems"]
    assert any("the primary has stopped" in each for each in problems), problems
    # The proxy has to find out that the old primary only reads now.
    until(lambda: _reads(session), 30, "a client that reads to get in", despite=(psycopg.Error,))


def _reads(session: Session) -> bool:
    with client(session, "ruleiq_ro") as reader:
        return reader.execute("select pg_is_in_recovery()").fetchone() == (True,)


def test_the_lease_of_a_dead_host_ends_on_request(twin: Ephemeral) -> None:
    """JEEX-31: not while it lives; then long before the lease would have ended."""
    with twin.session() as session:
        await_whole(session)
        leader, replica = leader_and_replica(session)
        refused = twin.keel("failover", "--fenced", leader.name, "--yes", check=False)
        assert refused.returncode == 2 and f"{leader.name} is not dead" in refused.stderr
        with while_a_client_writes(twin, session) as writer:
            docker("kill", twin.container(leader.name))
            killed = datetime.now(UTC)
            said = twin.keel("failover", "--fenced", leader.name, "--yes").stdout
            assert f"{replica} leads" in said
            writer.await_rows(1, since=killed)
            taken = writer.acknowledged[
                next(e for e, w in writer.acknowledged.items() if w.began > killed)
            ].acknowledged
            assert (taken - killed).total_seconds() < session.manifest.patroni.ttl - session.manifest.patroni.loop_wait
            docker("start", twin.container(leader.name))
