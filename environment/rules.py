"""Rules that span sections. Each looks only at the sections it names, and all of them are checked at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from environment import products
from environment.settings import Host, Settings
from environment.types import Group, Provider
from environment.versions import available_majors


class Problem(NamedTuple):
    """One refused setting: its path in the stack file, the value found, and what is allowed."""

    path: str
    value: object
    allowed: str

    def __str__(self) -> str:
        return f"keel:{self.path} = {self.value!r}: {self.allowed}"


Rule = Callable[..., Iterator[Problem]]
_RULES: list[tuple[tuple[str, ...], Rule]] = []

MEMORY_OVERHEAD = {Group.POSTGRES: 192, Group.ETCD: 96, Group.EDGE: 128, Group.REDIS: 64}
"""MiB a group needs beside its own settings; measured resident sizes of the idle daemons, rounded up."""


def rule(*sections: str) -> Callable[[Rule], Rule]:
    """Register a rule over the named sections of :class:`Settings`, passed in that order."""

    def register(function: Rule) -> Rule:
        _RULES.append((sections, function))
        return function

    return register


def check(sections: Mapping[str, Any]) -> list[Problem]:
    """Every problem that the rules find in ``sections``; rules over absent (refused) sections are left out."""
    return [
        problem
        for names, function in _RULES
        if all(name in sections for name in names)
        for problem in function(*(sections[name] for name in names))
    ]


def _carrying(hosts: Mapping[str, Host], group: Group) -> list[str]:
    return [name for name, host in hosts.items() if group in host.groups]


@rule("hosts")
def groups_are_placed(hosts: Mapping[str, Host]) -> Iterator[Problem]:
    """Every group that the platform needs is on some host; etcd in an odd number, Redis on one or three."""
    for group in (Group.POSTGRES, Group.ETCD, Group.EDGE, Group.REDIS):
        if not _carrying(hosts, group):
            yield Problem("hosts", sorted(hosts), f"at least one host carries the group {group.value!r}")
    members = _carrying(hosts, Group.ETCD)
    if members and len(members) % 2 == 0:
        yield Problem("hosts", members, "the number of etcd members is odd: an even one tolerates no more failures")
    if len(_carrying(hosts, Group.REDIS)) not in (0, 1):
        yield Problem("hosts", _carrying(hosts, Group.REDIS), "exactly one host carries the group 'redis'")


@rule("hosts", "network")
def addresses_fit(hosts: Mapping[str, Host], network: Any) -> Iterator[Problem]:
    """Addresses lie in the network, are unique and usable; the first one is the gateway's."""
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


@rule("ports")
def ports_differ(ports: Any) -> Iterator[Problem]:
    """No two services share a port: any of them may be placed on the same host."""
    values = ports.model_dump()
    for port, count in Counter(values.values()).items():
        if count > 1:
            names = sorted(name for name, value in values.items() if value == port)
            yield Problem(f"ports.{names[1]}", port, f"a port that no other service has (also {names[0]})")


@rule("network", "hosts", "environment")
def published_ports_differ(network: Any, hosts: Mapping[str, Host], environment: Any) -> Iterator[Problem]:
    """Published ports are unique, sshd's consecutive ones included."""
    if environment.provider is not Provider.DOCKER:
        return
    published = network.published
    named = [(f"network.published.{name}", port) for name, port in published.model_dump().items() if name != "ssh"]
    ssh = [(f"network.published.ssh (for host {host})", published.ssh + i) for i, host in enumerate(hosts)]
    seen: dict[int, str] = {}
    for path, port in [*named, *ssh]:
        if port is None:
            continue
        if port > 65535:
            yield Problem(path, port, "a port of at most 65535")
        if port in seen:
            yield Problem(path, port, f"a port that nothing else has (also {seen[port]})")
        seen[port] = path


@rule("hosts", "environment")
def endpoints_match_provider(hosts: Mapping[str, Host], environment: Any) -> Iterator[Problem]:
    """Machines that exist say how they are reached; containers must not."""
    for name, host in hosts.items():
        if environment.provider is Provider.SSH and host.ssh is None:
            yield Problem(f"hosts.{name}.ssh", None, "hostname and host_key, because environment.provider is 'ssh'")
        if environment.provider is Provider.DOCKER and host.ssh is not None:
            yield Problem(f"hosts.{name}.ssh", host.ssh.hostname, "nothing, because environment.provider is 'docker'")


@rule("postgres", "hosts")
def replicas_have_hosts(postgres: Any, hosts: Mapping[str, Host]) -> Iterator[Problem]:
    """One postgres host per member: the primary and each replica (PLAT-37)."""
    members = _carrying(hosts, Group.POSTGRES)
    if members and len(members) != postgres.replicas + 1:
        yield Problem(
            "postgres.replicas", postgres.replicas, f"{len(members) - 1}, one less than the postgres hosts {members}"
        )


@rule("release")
def version_is_available(release: Any) -> Iterator[Problem]:
    """The chosen release and source have the chosen server major (PLAT-01)."""
    majors = available_majors(release.debian, release.source)
    if release.postgres not in majors:
        where = f"{release.debian.value} from {release.source.value}"
        yield Problem("release.postgres", release.postgres, f"one of {list(majors)}, which {where} has")


@rule("postgres", "products", "hosts")
def connections_fit(postgres: Any, wanted: Mapping[str, Any], hosts: Mapping[str, Host]) -> Iterator[Problem]:
    """PLAT-20: what all poolers may open, plus the direct reserve, fits what the server admits."""
    edges = len(_carrying(hosts, Group.EDGE))
    pooled = edges * sum(p.max_db_connections + p.readonly_max_db_connections for p in wanted.values())
    room = postgres.max_connections - postgres.superuser_reserved_connections
    if pooled + postgres.direct_reserve > room:
        yield Problem(
            "postgres.max_connections",
            postgres.max_connections,
            f"at least {pooled + postgres.direct_reserve + postgres.superuser_reserved_connections}: "
            f"{edges} edge(s) may open {pooled} connections for {sorted(wanted)}, "
            f"{postgres.direct_reserve} are kept for direct use, "
            f"{postgres.superuser_reserved_connections} for superusers (PLAT-20)",
        )


@rule("products", "pgbouncer")
def pools_fit_products(wanted: Mapping[str, Any], pgbouncer: Any) -> Iterator[Problem]:
    """A pool is not larger than its database's limit, and its minimum not larger than its size."""
    if pgbouncer.min_pool_size > pgbouncer.default_pool_size:
        yield Problem(
            "pgbouncer.min_pool_size",
            pgbouncer.min_pool_size,
            f"at most default_pool_size ({pgbouncer.default_pool_size})",
        )
    for name, product in wanted.items():
        if product.max_db_connections < pgbouncer.min_pool_size:
            yield Problem(
                f"products.{name}.max_db_connections",
                product.max_db_connections,
                f"at least pgbouncer.min_pool_size ({pgbouncer.min_pool_size})",
            )


@rule("products")
def products_are_known(wanted: Mapping[str, Any]) -> Iterator[Problem]:
    """Every product has its folder under db/."""
    known = products.catalogue()
    for name in wanted:
        if name not in known:
            yield Problem(f"products.{name}", name, f"one of {sorted(known)} (a folder under db/)")


@rule("hosts", "postgres", "redis")
def memory_fits(hosts: Mapping[str, Host], postgres: Any, redis: Any) -> Iterator[Problem]:
    """What the services of a host may use at the same time fits its limit (X-19: ADA's values fit 2G)."""
    need = {
        Group.POSTGRES: postgres.shared_buffers
        + postgres.maintenance_work_mem
        + postgres.max_connections * postgres.work_mem,
        Group.REDIS: redis.maxmemory,
    }
    for name, host in hosts.items():
        total = sum(need.get(group, 0) + MEMORY_OVERHEAD.get(group, 0) for group in host.groups)
        if total > host.memory:
            groups = sorted(group.value for group in host.groups)
            yield Problem(f"hosts.{name}.memory", host.memory, f"at least {total} MiB for {groups}")


@rule("patroni")
def lease_holds(patroni: Any) -> Iterator[Problem]:
    """Patroni's own bounds: a lease must outlast one loop with two retries."""
    if patroni.ttl < 20:
        yield Problem("patroni.ttl", patroni.ttl, "at least 20 seconds")
    if patroni.loop_wait < 1:
        yield Problem("patroni.loop_wait", patroni.loop_wait, "at least 1 second")
    if patroni.retry_timeout < 3:
        yield Problem("patroni.retry_timeout", patroni.retry_timeout, "at least 3 seconds")
    if patroni.loop_wait + 2 * patroni.retry_timeout > patroni.ttl:
        yield Problem(
            "patroni.ttl",
            patroni.ttl,
            f"at least loop_wait + 2 * retry_timeout = {patroni.loop_wait + 2 * patroni.retry_timeout}",
        )


@rule("etcd")
def election_outlasts_heartbeat(etcd: Any) -> Iterator[Problem]:
    """etcd refuses an election timeout below five heartbeats."""
    if etcd.election_ms < 5 * etcd.heartbeat_ms:
        yield Problem("etcd.election_ms", etcd.election_ms, f"at least 5 * heartbeat_ms = {5 * etcd.heartbeat_ms}")


@rule("environment", "postgres")
def production_is_redundant(environment: Any, postgres: Any) -> Iterator[Problem]:
    """X-18: production has at least one replica and never runs asynchronously."""
    if environment.kind.guarded and postgres.replicas < 1:
        yield Problem("postgres.replicas", postgres.replicas, f"at least 1 in {environment.kind.value} (X-18)")
    if environment.kind.guarded and not postgres.synchronous:
        yield Problem("postgres.synchronous", False, f"true in {environment.kind.value}")


def all_sections(settings: Settings) -> dict[str, Any]:
    """The sections of ``settings`` by name, as :func:`check` takes them."""
    return {name: getattr(settings, name) for name in type(settings).model_fields}
