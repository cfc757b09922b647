"""Who may connect to what: the one table, read for real stacks."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from environment import access
from environment.kind import Kind
from environment.manifest import HostEntry, Manifest
from environment.products import catalogue
from environment.types import Group
from tests.roles.targets import manifest_of

COMES = {
    "db1": {
        "ssh": {"10.88.0.1"},
        "postgres": {"10.88.0.12", "10.88.0.21", "10.88.0.31"},
        "patroni": {"10.88.0.12", "10.88.0.21"},
        "etcd_client": {"10.88.0.12", "10.88.0.21"},
        "etcd_peer": {"10.88.0.12", "10.88.0.21"},
        "pgbackrest": {"10.88.0.31"},
    },
    "edge1": {
        "ssh": {"10.88.0.1"},
        "etcd_client": {"10.88.0.11", "10.88.0.12"},
        "etcd_peer": {"10.88.0.11", "10.88.0.12"},
        "primary": {"10.88.0.1", "10.88.0.128"},
        "replica": {"10.88.0.1", "10.88.0.128"},
        "pgbouncer": {"10.88.0.1", "10.88.0.128"},
        "redis": {"10.88.0.1", "10.88.0.128"},
    },
    "ops1": {"ssh": {"10.88.0.1"}, "pgbackrest": {"10.88.0.11", "10.88.0.12"}},
}
"""Host of dev → service → who comes there from elsewhere. 10.88.0.1 is this machine: the controller, and the clients; at 10.88.0.128
the range of containers begins."""


@pytest.mark.parametrize("host", COMES)
def test_who_comes_to_a_host(host: str) -> None:
    """PLAT-41, JEEX-33, W3: between hosts the pairs that need it, from elsewhere clients to what is theirs."""
    manifest = manifest_of("dev")
    found: dict[str, set[str]] = {}
    for each in access.admitted(manifest, manifest.host(host)):
        found.setdefault(each.door.service, set()).add(str(each.source.network_address))
    assert found == COMES[host]


def with_clients(manifest: Manifest, *clients: str) -> Manifest:
    """The same environment with other clients' networks."""
    networks = tuple(IPv4Network(each) for each in clients)
    return manifest.model_copy(update={"network": manifest.network.model_copy(update={"clients": networks})})


def test_clients_come_to_the_edges_and_to_redis_alone() -> None:
    """PLAT-25, PLAT-41: their networks are let in to four services."""
    manifest = with_clients(manifest_of("dev"), "10.99.0.0/16")
    found = {
        (host.name, each.door.service)
        for host in manifest.hosts
        for each in access.admitted(manifest, host)
        if each.source == IPv4Network("10.99.0.0/16")
    }
    assert found == {("edge1", service) for service in ("primary", "replica", "pgbouncer", "redis")}


def test_without_clients_the_controller_still_migrates() -> None:
    manifest = with_clients(manifest_of("dev"))
    found = {
        each.door.service for each in access.admitted(manifest, manifest.host("edge1")) if each.source.prefixlen == 32
    }
    assert found == {"ssh", "primary", "etcd_client", "etcd_peer"}


def test_containers_of_applications_are_clients_and_nothing_else() -> None:
    """PLAT-25, PLAT-41, W3: what other clients reach, as the same logins."""
    manifest = with_clients(manifest_of("dev"), "10.99.0.0/16")
    containers, others = IPv4Network("10.88.0.128/25"), IPv4Network("10.99.0.0/16")
    for host in manifest.hosts:
        comes = [(each.source, each.door.service) for each in access.admitted(manifest, host)]
        assert {door for source, door in comes if source == containers} == {d for s, d in comes if s == others}
    admits = access.lines(manifest, manifest.host("edge1"), "pgbouncer")
    assert [line.login for line in admits if line.source == containers] == [
        line.login for line in admits if line.source == others
    ]


def test_a_host_more_is_known_to_the_others_by_its_group() -> None:
    """A replica that joins: no line of the table is changed for it."""
    manifest = manifest_of("dev")
    joining = HostEntry(
        name="db3", address="10.88.0.13", groups=(Group.POSTGRES,), ssh=manifest.host("db1").ssh
    )  # fmt: skip
    grown = manifest.model_copy(update={"hosts": (*manifest.hosts, joining)})
    knows = {
        (host.name, each.door.service)
        for host in manifest.hosts
        for each in access.admitted(grown, host)
        if each.source == IPv4Network("10.88.0.13")
    }
    assert knows == {
        ("db1", "postgres"), ("db1", "patroni"), ("db1", "etcd_client"), ("db2", "postgres"), ("db2", "patroni"),
        ("db2", "etcd_client"), ("edge1", "etcd_client"), ("ops1", "pgbackrest"),
    }  # fmt: skip


def test_one_host_that_is_everything_lets_no_service_login_in() -> None:
    """W4: there HAProxy's address is the host's own. What the host itself needs goes over the socket."""
    manifest = manifest_of("ci")
    (host,) = manifest.hosts
    roles = {role for line in access.lines(manifest, host, "postgres") for role in line.login.roles if "keel_" in role}
    assert roles == {"keel_pgbouncer", "keel_admin", "keel_monitor"}
    assert all(
        line.login.certificate for line in access.lines(manifest, host, "postgres") if "keel_pgbouncer" in line.text
    )
    beside = {role for login in access.on_the_socket(manifest, host) for role in login.roles}
    assert beside == {"keel_replication", "keel_rewind", "keel_backup"}
    assert "pgbackrest" not in {door.service for door in access.doors(manifest, host)}


def test_an_edge_on_a_members_host_lets_no_server_in() -> None:
    """W4: its clients have the member's address, and no key pair with the login's name."""
    manifest = manifest_of("dev")
    both = tuple(
        host.model_copy(update={"groups": (*host.groups, Group.EDGE)}) if host.name == "db2" else host
        for host in manifest.hosts
    )
    grown = manifest.model_copy(update={"hosts": both})
    admits = [
        line.login
        for line in access.lines(grown, grown.host("db1"), "postgres")
        if line.source == IPv4Network(grown.host("db2").address)
    ]
    servers = [login for login in admits if {"keel_replication", "keel_rewind"} & {*login.roles}]
    assert len(servers) == 2 and all(login.certificate for login in servers)


def test_maintenance_through_the_edges_can_be_turned_off() -> None:
    """JEEX-33."""
    manifest = manifest_of("production")
    closed = manifest.model_copy(update={"network": manifest.network.model_copy(update={"admin": False})})
    for each, admits in ((manifest, True), (closed, False)):
        text = "\n".join(line.text for line in access.lines(each, each.host("db1"), "postgres"))
        assert ("keel_admin" in text, "keel_monitor" in text) == (admits, admits)


@pytest.mark.parametrize("stack", ["dev", "ci", "production"])
def test_logins_of_the_cluster_come_over_tls_alone(stack: str) -> None:
    """PLAT-39, W4: in dev too."""
    manifest = manifest_of(stack)
    lines = [line for host in manifest.carrying(Group.POSTGRES) for line in access.lines(manifest, host, "postgres")]
    assert [
        line.text for line in lines if any(role.startswith("keel_") for role in line.login.roles) and line.login.clear
    ] == []


def test_a_product_that_asks_for_tls_gets_nothing_else() -> None:
    """X-51: in dev too, past the pooler and through it."""
    manifest = manifest_of("dev")
    assert manifest.identity.kind is Kind.DEV
    asking = {name for name, product in catalogue().items() if product.tls}
    assert asking == {"ai_assistant"}
    for host, service in (("db1", "postgres"), ("edge1", "pgbouncer")):
        for line in access.lines(manifest, manifest.host(host), service):
            if line.login.clear:
                assert not asking & set(line.login.databases), line.text


def test_the_pooler_admits_each_login_to_its_own_databases() -> None:
    """PLAT-21, W4: no migrator, no login of the cluster, no other product's."""
    manifest = manifest_of("dev")
    for line in access.lines(manifest, manifest.host("edge1"), "pgbouncer"):
        name, reading = line.login.databases
        assert (reading, line.login.roles) == (f"{name}_ro", manifest.products[name].product.pooled_roles)


def test_every_port_has_a_door() -> None:
    """A service that is added to the ports is added to the table."""
    assert {door.service for door in access.DOORS} == set(type(manifest_of("dev").ports).model_fields)
    assert {entry.service for entry in access.ENTRIES} == {door.service for door in access.DOORS}
