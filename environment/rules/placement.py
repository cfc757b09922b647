"""Where things are: groups on hosts, addresses in networks, ports, and how hosts are reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from environment.published import ssh_port
from environment.rules.base import Problem, carrying, rule
from environment.settings import Host
from environment.types import Group, Provider

RESERVED_NAMES = frozenset({"localhost", "primary", "replica", "pgbouncer", "redis"})
"""`<name>.<environment>` means a service in the hosts' names and in certificates."""


@rule("hosts")
def groups_are_placed(hosts: Mapping[str, Host]) -> Iterator[Problem]:
    """Every group that the platform needs is on some host; etcd in an odd number, Redis on one or three."""
    for group in (Group.POSTGRES, Group.ETCD, Group.EDGE, Group.REDIS, Group.BACKUP):
        if not carrying(hosts, group):
            yield Problem("hosts", sorted(hosts), f"at least one host carries the group {group.value!r}")
    members = carrying(hosts, Group.ETCD)
    if members and len(members) % 2 == 0:
        yield Problem("hosts", members, "the number of etcd members is odd: an even one tolerates no more failures")
    for group in (Group.REDIS, Group.BACKUP):
        if len(carrying(hosts, group)) > 1:
            yield Problem("hosts", carrying(hosts, group), f"exactly one host carries the group {group.value!r}")
    for name in sorted(RESERVED_NAMES & hosts.keys()):
        yield Problem(f"hosts.{name}", name, f"a name that no service has; {sorted(RESERVED_NAMES)} are taken")


@rule("postgres", "hosts")
def replicas_have_hosts(postgres: Any, hosts: Mapping[str, Host]) -> Iterator[Problem]:
    """One postgres host per member: the primary and each replica (PLAT-37)."""
    members = carrying(hosts, Group.POSTGRES)
    if members and len(members) != postgres.replicas + 1:
        fitting = len(members) - 1
        allowed = f"{fitting}, one less than the postgres hosts {members}"
        yield Problem("postgres.replicas", postgres.replicas, allowed, nearest=fitting)


@rule("postgres", "hosts")
def delayed_replicas_are_spare(postgres: Any, hosts: Mapping[str, Host]) -> Iterator[Problem]:
    """A replica that stays behind neither leads nor confirms commits: enough others do (PLAT-37)."""
    members = carrying(hosts, Group.POSTGRES)
    for name in postgres.apply_delay:
        if name not in members:
            yield Problem(f"postgres.apply_delay.{name}", name, f"one of the postgres hosts {members}")
    others = [name for name in members if name not in postgres.apply_delay]
    needed = 2 if postgres.synchronous else 1
    if postgres.apply_delay and len(others) < needed:
        yield Problem(
            "postgres.apply_delay",
            sorted(postgres.apply_delay),
            f"at least {needed} of {members} without a delay: a primary"
            + (", and a replica that confirms its commits (postgres.synchronous)" if postgres.synchronous else ""),
        )


@rule("hosts", "network")
def addresses_fit(hosts: Mapping[str, Host], network: Any) -> Iterator[Problem]:
    """Addresses lie in the network, are unique and usable; the first one is the gateway's."""
    if not 8 <= network.cidr.prefixlen <= 29:
        yield Problem("network.cidr", str(network.cidr), "a network of /8 to /29")
        return
    if network.cidr.is_loopback or network.cidr.is_multicast or network.cidr.is_link_local or network.cidr.is_reserved:
        yield Problem("network.cidr", str(network.cidr), "a network that hosts can have, such as 10.88.0.0/24")
    reserved = {network.cidr.network_address, network.cidr.broadcast_address, network.cidr.network_address + 1}
    taken = Counter(host.address for host in hosts.values())
    for name, host in hosts.items():
        if host.address not in network.cidr:
            yield Problem(f"hosts.{name}.address", str(host.address), f"an address inside {network.cidr}")
        elif host.address in reserved:
            yield Problem(
                f"hosts.{name}.address", str(host.address), "not the network's, gateway's or broadcast address"
            )
        if taken[host.address] > 1:
            yield Problem(f"hosts.{name}.address", str(host.address), "an address that no other host has")


@rule("environment", "network", "hosts")
def containers_have_a_range(environment: Any, network: Any, hosts: Mapping[str, Host]) -> Iterator[Problem]:
    """PLAT-41: whoever joins the network in that range is a client: only where nothing is guarded, and apart from the hosts."""
    path, found = "network.containers", network.containers
    if not isinstance(found, IPv4Network):
        return
    if environment.provider is Provider.SSH:
        yield Problem(path, str(found), "off, because hosts are machines: their clients are in keel:network.clients")
    elif environment.kind.guarded:
        yield Problem(
            path, str(found), f"off in {environment.kind.value}: there each client is named, in keel:network.clients"
        )
    elif not found.subnet_of(network.cidr):
        yield Problem(path, str(found), f"a range inside {network.cidr}")
    elif network.cidr.prefixlen < 31 and network.cidr.network_address + 1 in found:
        yield Problem(path, str(found), f"a range without {network.cidr.network_address + 1}, the gateway's address")
    for name, host in hosts.items():
        if host.address in found:
            yield Problem(f"hosts.{name}.address", str(host.address), f"an address outside {found} (keel:{path})")


@rule("ports")
def ports_differ(ports: Any) -> Iterator[Problem]:
    """No two services share a port: any of them may be placed on the same host."""
    values = ports.model_dump()
    for port, count in Counter(values.values()).items():
        if count > 1:
            names = sorted(name for name, value in values.items() if value == port)
            yield Problem(f"ports.{names[1]}", port, f"a port that no other service has (also {names[0]})")


def published_ports(network: Any, hosts: Mapping[str, Host]) -> list[tuple[str, int]]:
    """What a docker environment publishes on 127.0.0.1: (path of the setting, port), sshd of each host included."""
    services = network.published.model_dump(exclude={"ssh"})
    return [
        *((f"network.published.{name}", port) for name, port in services.items() if port),
        *(
            (f"network.published.ssh (for host {name})", ssh_port(network.published.ssh, host.address))
            for name, host in hosts.items()
        ),
    ]


@rule("network", "hosts", "environment")
def published_ports_differ(network: Any, hosts: Mapping[str, Host], environment: Any) -> Iterator[Problem]:
    """Published ports are unique, sshd's of every host included."""
    if environment.provider is not Provider.DOCKER:
        return
    seen: dict[int, str] = {}
    for path, port in published_ports(network, hosts):
        if not 1 <= port <= 65535:
            yield Problem(path, port, "a port from 1 to 65535 (that of an address grows with its last number)")
        if port in seen:
            yield Problem(path, port, f"a port that nothing else has (also {seen[port]})")
        seen[port] = path


@rule("hosts", "environment")
def endpoints_match_provider(hosts: Mapping[str, Host], environment: Any) -> Iterator[Problem]:
    """Machines that exist say how they are reached, each in its own way; containers must not."""
    endpoints = Counter((host.ssh.hostname, host.ssh.port) for host in hosts.values() if host.ssh)
    for name, host in hosts.items():
        if environment.provider is Provider.SSH and host.ssh is None:
            yield Problem(f"hosts.{name}.ssh", None, "hostname and host_key, because environment.provider is 'ssh'")
        if environment.provider is Provider.DOCKER and host.ssh is not None:
            yield Problem(f"hosts.{name}.ssh", host.ssh.hostname, "nothing, because environment.provider is 'docker'")
        if host.ssh and endpoints[host.ssh.hostname, host.ssh.port] > 1:
            where = f"{host.ssh.hostname}:{host.ssh.port}"
            yield Problem(f"hosts.{name}.ssh.hostname", where, "a machine that no other host is")
