"""The roles in the order they are carried out, by stage. Every host of a stage is done before the next begins."""

from __future__ import annotations

from roles.base.role import Base
from roles.etcd.role import Etcd
from roles.haproxy.role import Haproxy
from roles.kit.declare import Role
from roles.pgbouncer.role import Pgbouncer
from roles.pki.role import Pki
from roles.postgres.role import Postgres
from roles.redis.role import Redis

STAGES: dict[str, tuple[Role, ...]] = {
    # Names and trust first: every service below has certificates and speaks to its peers by name.
    "base": (Base(), Pki()),
    # The store before what elects its leader in it.
    "data": (Etcd(), Postgres()),
    # The proxy finds the primary, the pooler finds the proxy.
    "edge": (Haproxy(), Pgbouncer(), Redis()),
}


def sections(stage: str) -> frozenset[str]:
    """Manifest sections that the roles of ``stage`` read."""
    return frozenset().union(*(role.sections for role in STAGES[stage]))


def packages(postgres: int) -> tuple[str, ...]:
    """Every package of every role: what the host image brings."""
    return tuple(sorted({p for stage in STAGES.values() for role in stage for p in role.packages(postgres)}))
