"""The primary dies while a client writes: another leads, nothing that was acknowledged is missing, and the dead one comes back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from environment.manifest import HostEntry
from environment.types import Group
from ops.cluster.patroni import ask
from ops.hosts.docker import docker
from ops.hosts.session import Session, Unreachable
from roles.postgres.patroni import candidates, members_of
from tests.system.environments import Ephemeral
from tests.system.writer import Writer, forget_writes, written

SLACK = 20
"""Seconds beyond the lease (`ttl`): a loop of Patroni, HAProxy's checks and PgBouncer's next login, on a machine that is busy."""


@retry(
    retry=retry_if_exception_type((AssertionError, Unreachable, subprocess.SubprocessError)),
    stop=stop_after_delay(120), wait=wait_fixed(1), reraise=True,
)  # fmt: skip
def await_whole(session: Session) -> None:
    """Return once every member says the same: each of them is well, and one may take over. A host that was frozen first shows
    what it knew before."""
    hosts = [host.name for host in session.manifest.carrying(Group.POSTGRES)]
    for host in hosts:
        found = members_of(session.manifest, ask(session, host, "/cluster"))
        assert {member.name: member.well for member in found} == dict.fromkeys(hosts, True), (host, found)
        assert candidates(session.manifest, found), (host, found)
        leaders = [member.name for member in found if member.leads]
        assert leaders == [session.leader().name], (host, found)


@contextmanager
def unheard(twin: Ephemeral, replica: str, primary: HostEntry) -> Iterator[None]:
    """``replica`` gets no WAL from the primary: the packets are dropped in its own network namespace."""
    process = docker("inspect", "-f", "{{.State.Pid}}", twin.container(replica))
    rule = ("INPUT", "-s", str(primary.address), "-p", "tcp", "--sport", "5432", "-j", "DROP")
    within = ("nsenter", "--net", "--target", process, "iptables")
    subprocess.run((*within, "-I", *rule), check=True)
    try:
        yield
    finally:
        subprocess.run((*within, "-D", *rule), check=True)


@contextmanager
def while_a_client_writes(twin: Ephemeral, session: Session, within: float | None = None) -> Iterator[Writer]:
    """A client writes throughout the block, and goes on after the crash in it. In the end the cluster is whole, no acknowledged
    write is missing, and no pause was longer than ``within`` seconds (default: the lease and SLACK)."""
    with Writer(session.manifest, session.roots) as writer:
        writer.await_rows(50)
        yield writer
        await_whole(session)
        writer.await_rows(50, since=datetime.now(UTC))
    lost = set(writer.acknowledged) - written(session)
    forget_writes(session)
    assert lost == set()
    longest = writer.longest_pause()
    assert longest <= (within or twin.environment.settings.patroni.ttl + SLACK), f"{longest:.1f} s without a row"


IN_DATA = "cd /var/lib/postgresql/*/main"
CONCERNS = ("roles/postgres/", "roles/haproxy/", "roles/pgbouncer/", "roles/etcd/")


@pytest.mark.family("crash", *CONCERNS)
def test_a_host_dies_with_the_primary(twin: Ephemeral) -> None:
    """JEEX-31, JEEX-32, BAC-37, PLAT-37: the replica leads within the lease; no acknowledged write is lost; the old primary,
    which wrote WAL that nobody received, is rewound and streams."""
    with twin.session() as session:
        journal = lose_the_leader(twin, session)
        assert "running pg_rewind from" in journal, journal[-3000:]


@pytest.mark.family("crash", *CONCERNS)
def test_a_rewind_fails(twin: Ephemeral) -> None:
    """JEEX-31, PLAT-37: a member that cannot be rewound is copied anew, without anybody's help."""
    with twin.session() as session:
        leader, replica = leader_and_replica(session)
        # pg_rewind refuses a directory where the primary has a file.
        session.run(leader.name, f"{IN_DATA} && mkdir obstacle")
        session.run(replica, f"{IN_DATA} && install -o postgres -g postgres /dev/null obstacle")
        try:
            journal = lose_the_leader(twin, session)
        finally:
            for host in (leader.name, replica):
                session.run(host, f"{IN_DATA} && rm -rf obstacle")
        assert "Failed to rewind from healthy primary" in journal, journal[-3000:]


def leader_and_replica(session: Session) -> tuple[HostEntry, str]:
    """The primary's host, and the name of the other."""
    leader = session.leader()
    (replica,) = [host.name for host in session.manifest.carrying(Group.POSTGRES) if host.name != leader.name]
    return leader, replica


def lose_the_leader(twin: Ephemeral, session: Session) -> str:
    """Kill the primary's host while a client writes, with WAL that nobody received, and start it again: what its Patroni
    said since, once the cluster is whole."""
    leader, replica = leader_and_replica(session)
    with while_a_client_writes(twin, session) as writer:
        with unheard(twin, replica, leader):
            # Less than maximum_lag_on_failover, and not waiting for the replica.
            alone = "select pg_logical_emit_message(false, 'keel', repeat('x', 300000))"
            session.run(leader.name, f'psql -U postgres -Xqc "{alone}" > /dev/null')
            docker("kill", twin.container(leader.name))
            killed = datetime.now(UTC)
        writer.await_rows(50, since=killed)
        assert session.leader().name == replica
        docker("start", twin.container(leader.name))
    return session.run(leader.name, "journalctl -b -u patroni.service -o cat --no-pager")


@pytest.mark.family("crash", *CONCERNS)
def test_a_host_freezes_with_the_primary(twin: Ephemeral) -> None:
    """JEEX-31, PLAT-37: its kernel still answers, so only the proxy's checks end its sessions; awake again it leads no more."""
    with twin.session() as session:
        leader = session.leader().name
        with while_a_client_writes(twin, session) as writer:
            docker("pause", twin.container(leader))
            frozen = datetime.now(UTC)
            try:
                writer.await_rows(50, since=frozen)
                led = session.leader().name
            finally:
                docker("unpause", twin.container(leader))
        assert session.leader().name == led != leader


@pytest.mark.family("crash", *CONCERNS)
def test_the_synchronous_replica_is_silent(twin: Ephemeral) -> None:
    """JEEX-31, PLAT-38: commits wait for it no longer than 15 s, then go on alone, and status says so."""
    with twin.session() as session, while_a_client_writes(twin, session, within=15) as writer:
        leader, replica = leader_and_replica(session)
        docker("pause", twin.container(replica))
        try:
            # What was on its way when it stopped may still be acknowledged.
            writer.await_rows(20, since=datetime.now(UTC) + timedelta(seconds=1))
            said = twin.keel("status", check=False).stdout
        finally:
            docker("unpause", twin.container(replica))
        assert f"no synchronous standby streams from {leader.name}" in said


@pytest.mark.family("crash", *CONCERNS)
def test_the_postmaster_is_killed(twin: Ephemeral) -> None:
    """JEEX-31, PLAT-37: the server is up again, here or on the other host, before the lease would have ended."""
    with twin.session() as session, while_a_client_writes(twin, session) as writer:
        session.run(session.leader().name, "kill -9 $(head -1 /var/lib/postgresql/*/main/postmaster.pid)")
        writer.await_rows(50, since=datetime.now(UTC))
