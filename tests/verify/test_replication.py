"""The cluster as a whole: Patroni's members, the replicas, and what they guarantee."""

from __future__ import annotations

import json
import ssl
import time
from typing import Any

import psycopg
import pytest
from tenacity import Retrying, retry_if_exception_type, wait_fixed

from environment.manifest import HostEntry, Manifest, ProductEntry
from environment.names import REPLICATION
from environment.types import Group
from ops.cluster import patroni
from ops.hosts.session import Session
from roles.pgbouncer.role import READS_LAST
from roles.postgres.parameters import dynamic_configuration
from roles.postgres.patroni import Member
from tests.verify import expect
from tests.verify.look import Look, ServerFacts
from tests.verify.pooler import Pooler
from tests.verify.tunnels import Tunnels


@pytest.fixture(scope="module")
def members(session: Session) -> list[Member]:
    """The servers as Patroni reports them."""
    return patroni.members(session)


@pytest.fixture(scope="module")
def primary(look: Look, manifest: Manifest) -> ServerFacts:
    """The one server that takes writes."""
    found = [look.server(host) for host in manifest.carrying(Group.POSTGRES) if not look.server(host).recovering]
    assert len(found) == 1, f"{len(found)} servers take writes"
    return found[0]


def test_members(members: list[Member], manifest: Manifest) -> None:
    """X-23: Patroni runs every declared server, one of them leads, all on one timeline."""
    expect.exactly([m.name for m in members], [h.name for h in manifest.carrying(Group.POSTGRES)], "member")
    expect.nothing(f"{member.name} is {member.state}" for member in members if not member.well)
    expect.nothing(f"{member.name} waits for a restart" for member in members if member.pending_restart)
    assert len([member for member in members if member.leads]) == 1, f"leaders: {[m.name for m in members if m.leads]}"
    assert len({member.timeline for member in members if not member.delay}) == 1, (
        f"timelines: { ({m.name: m.timeline for m in members}) }"
    )


def test_timing(look: Look, session: Session, manifest: Manifest) -> None:
    """PLAT-03: the configuration that Patroni follows, kept in etcd, is the manifest's."""
    host = manifest.carrying(Group.POSTGRES)[0]
    found: dict[str, Any] = json.loads(patroni.ask(session, host.name, "/config"))
    declared = dynamic_configuration(manifest)
    wanted = {name: value for name, value in declared.items() if name != "postgresql"}
    expect.same({"pause": False, **found}, {"pause": False, **wanted})


def test_patroni_asks_for_a_certificate(server: HostEntry, tunnels: Tunnels, manifest: Manifest) -> None:
    """X-23, W12: without a certificate for this door no one gives Patroni an order, nor reads what it knows."""
    for request in ("POST /reload", "GET /config", "GET /health"):
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            tunnels.ask(server, manifest.ports.patroni, request)


def test_replicas_stream(readers: tuple[HostEntry, ...], primary: ServerFacts, manifest: Manifest) -> None:
    """PLAT-37: every replica streams over TLS as the replication role, and its lag is visible. A delayed one may read the
    archive instead, which is ahead of it."""
    found = [standby for standby in primary.standbys if standby.application_name not in manifest.postgres.apply_delay]
    expect.exactly([s.application_name for s in found], [host.name for host in readers], "replica streaming")
    for standby in primary.standbys:
        wanted = {"state": "streaming", "usename": REPLICATION, "ssl": True}
        expect.same(standby.model_dump(), wanted, standby.application_name)
        assert standby.replay_lag_bytes is not None, f"{standby.application_name}: no lag is known"


def test_number_of_replicas(replicas: tuple[HostEntry, ...], manifest: Manifest) -> None:
    """PLAT-37: there are as many replicas as the environment declares."""
    assert len(replicas) == manifest.postgres.replicas, (
        f"{len(replicas)} replicas, declared: {manifest.postgres.replicas}"
    )


def test_slots(readers: tuple[HostEntry, ...], primary: ServerFacts) -> None:
    """PLAT-37: every replica has its physical slot on the primary, in use and not behind what is kept."""
    found = {slot.slot_name: slot for slot in primary.slots}
    for host in readers:
        slot = found.get(host.name.replace("-", "_"))
        assert slot, f"no slot for {host.name}; there are {sorted(found)}"
        expect.same(slot.model_dump(), {"slot_type": "physical", "active": True}, slot.slot_name)
        assert slot.wal_status in ("reserved", "extended"), f"{slot.slot_name}: the WAL it needs is {slot.wal_status}"


def test_replicas_apply(replicas: tuple[HostEntry, ...], look: Look) -> None:
    """PLAT-37: replicas answer queries and replay without pause."""
    for host in replicas:
        facts = look.server(host)
        expect.same(facts.settings, {"hot_standby": "on"}, host.name)
        assert facts.replay == "not paused", f"{host.name}: replay is {facts.replay}"


def test_delayed(delayed: HostEntry, look: Look, session: Session, manifest: Manifest) -> None:
    """PLAT-37: a replica that is to stay behind does, and is neither promoted nor waited for nor read."""
    minutes = manifest.postgres.apply_delay[delayed.name]
    expect.same(look.server(delayed).numbers, {"recovery_min_apply_delay": str(minutes * 60_000)}, delayed.name)
    answer = json.loads(patroni.ask(session, delayed.name, "/patroni"))
    expect.same(answer.get("tags", {}), dict.fromkeys(("nofailover", "nosync", "noloadbalance"), True), delayed.name)


def test_synchronous(replicas: tuple[HostEntry, ...], primary: ServerFacts, manifest: Manifest) -> None:
    """PLAT-37: in synchronous mode one replica at least has every commit before it is acknowledged."""
    states = {standby.application_name: standby.sync_state for standby in primary.standbys}
    synchronous = {name for name, state in states.items() if state in ("sync", "quorum")}
    assert bool(synchronous) == manifest.postgres.synchronous, f"synchronous states are {states}"


@pytest.fixture(scope="module")
def await_reads() -> Retrying:
    """Repeats until every pool of reads must be on a replica. A replica that has just come is taken up when the proxy has seen
    it; then the pooler gives up its connections to the primary, one after the other. One wait for all products."""
    due = time.monotonic() + 2 * READS_LAST + 5
    return Retrying(
        retry=retry_if_exception_type((AssertionError, psycopg.OperationalError)),
        stop=lambda _: time.monotonic() > due, wait=wait_fixed(0.5), reraise=True,
    )  # fmt: skip


def connected_to_a_replica(pooler: Pooler, role: str, database: str) -> psycopg.Connection[Any]:
    """Through the pooler to a replica. Raises AssertionError where the primary answers."""
    connection = pooler.connect(role, database)
    try:
        assert connection.execute("select pg_is_in_recovery()").fetchone() == (True,), "the primary answers"
    except BaseException:
        connection.close()
        raise
    return connection


def test_replicas_refuse_writes(readers: object, pooler: Pooler, product: ProductEntry, await_reads: Retrying) -> None:
    """PLAT-37, BAC-36: `<database>_ro` leads to a replica, which refuses a write of the role that may write on the primary."""
    table = next(iter(product.product.tables))
    with (
        await_reads(
            connected_to_a_replica, pooler, product.product.app_role, f"{product.product.name}_ro"
        ) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute(f"delete from {table}")
