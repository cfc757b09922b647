"""What fits: connections, pools, memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from environment import budget, sizing
from environment.rules.base import Problem, carrying, rule
from environment.settings import Host
from environment.sizing import Sized
from environment.types import AUTO, Group, Reset


@rule("postgres", "products", "hosts", "pgbouncer")
def connections_fit(
    postgres: Any, wanted: Mapping[str, Any], hosts: Mapping[str, Host], pgbouncer: Any
) -> Iterator[Problem]:
    """PLAT-20: what all poolers may open, plus the direct reserve, fits what the server admits."""
    edges = len(carrying(hosts, Group.EDGE))
    pooled = sum(budget.pooled(edges, share) for share in wanted.values()) + edges * budget.looking_up(pgbouncer).server
    room = postgres.max_connections - postgres.superuser_reserved_connections
    if pooled + postgres.direct_reserve > room:
        needed = pooled + postgres.direct_reserve + postgres.superuser_reserved_connections
        yield Problem(
            "postgres.max_connections",
            postgres.max_connections,
            f"at least {needed}: "
            f"{edges} edge(s) may open {pooled} connections for {sorted(wanted)} and the look-up, "
            f"{postgres.direct_reserve} are kept for direct use, "
            f"{postgres.superuser_reserved_connections} for superusers (PLAT-20)",
            nearest=needed,
        )


@rule("pgbouncer")
def pool_holds_its_minimum(pgbouncer: Any) -> Iterator[Problem]:
    """What is kept open is a part of the pool."""
    if pgbouncer.min_pool_size > pgbouncer.default_pool_size:
        yield Problem(
            "pgbouncer.min_pool_size",
            pgbouncer.min_pool_size,
            f"at most default_pool_size ({pgbouncer.default_pool_size})",
        )


@rule("products", "haproxy", "postgres")
def proxy_admits_pools(wanted: Mapping[str, Any], haproxy: Any, postgres: Any) -> Iterator[Problem]:
    """One proxy carries all connections of its own pooler and the direct ones."""
    needed = postgres.direct_reserve + sum(
        product.max_db_connections + product.readonly_max_db_connections for product in wanted.values()
    )
    if haproxy.maxconn < needed:
        yield Problem(
            "haproxy.maxconn",
            haproxy.maxconn,
            f"at least {needed}: the pools of {sorted(wanted)} and the direct reserve",
        )


@rule("haproxy", "postgres")
def no_address_takes_the_server(haproxy: Any, postgres: Any) -> Iterator[Problem]:
    """A client that never logs in holds a connection meanwhile: all of one address leave room for others (W8)."""
    room = postgres.max_connections - postgres.superuser_reserved_connections - budget.RESERVED
    if haproxy.client_connections >= room:
        yield Problem(
            "haproxy.client_connections",
            haproxy.client_connections,
            f"less than {room}, which max_connections ({postgres.max_connections}) leaves for clients",
        )


@rule("hosts", "postgres", "redis", "release")
def memory_fits(hosts: Mapping[str, Host], postgres: Any, redis: Any, release: Any) -> Iterator[Problem]:
    """What the services of a host may use at the same time fits its limit (X-19: ADA's values fit 2G), whatever follows from it."""
    sized = sizing.of_sections(hosts, postgres, redis, release)
    for name, host in hosts.items():
        has = sized.machines[name].memory
        least = sizing.least_memory(host, sizing.cores(hosts), postgres, redis, release)
        if has < least:
            groups = sorted(group.value for group in host.groups)
            connections = f" with {postgres.max_connections} connections" if Group.POSTGRES in host.groups else ""
            allowed = f"at least {least} MiB for {groups}{connections}"
            yield Problem(f"hosts.{name}.memory", host.memory, allowed, nearest=least)
    if sized.values:
        yield from _cache_fits(sized, [name for name, host in hosts.items() if Group.POSTGRES in host.groups])


def _cache_fits(sized: Sized, servers: list[str]) -> Iterator[Problem]:
    buffers, cached = (sized.values[name].number for name in ("shared_buffers", "effective_cache_size"))
    for name in servers:
        has = sized.machines[name].memory
        if cached > has:
            yield Problem("postgres.effective_cache_size", cached, f"at most the memory of {name} ({has} MiB)")
    if cached < buffers:
        yield Problem(
            "postgres.effective_cache_size",
            cached,
            f"at least shared_buffers ({buffers} MiB), which is a part of it",
            nearest=buffers,
        )


@rule("hosts")
def auto_is_for_containers(hosts: Mapping[str, Host]) -> Iterator[Problem]:
    """What a machine has is a fact, and no stack file says it: another one would be as large as the documents say."""
    for name, host in hosts.items():
        for setting, ask in (("memory", "free -m"), ("cpus", "nproc")):
            if host.ssh is not None and getattr(host, setting) == AUTO:
                yield Problem(
                    f"hosts.{name}.{setting}",
                    AUTO,
                    f"what the machine has for Keel (there: `{ask}`); auto is for containers",
                )


@rule("pgbouncer", "haproxy")
def reads_stay_reads(pgbouncer: Any, haproxy: Any) -> Iterator[Problem]:
    """On the primary a pool of reads is read-only by a setting of its session, and DISCARD ALL ends that."""
    if pgbouncer.reset is Reset.STATE and haproxy.read_fallback:
        yield Problem(
            "haproxy.read_fallback",
            True,
            "false with pgbouncer.reset `state`: what it ends includes that reads on the primary write nothing",
        )
