"""Who may hold how many of the server's connections: the arithmetic of PLAT-20, for the rule that checks it and for what obeys it.

    max_connections = superuser_reserved_connections + pools of all products + look-ups + direct_reserve (+ what is left)

The pools of a product are its own; of the direct reserve each product has an equal share, for its migrations, its dumps and
its sessions past the pooler.
"""

from __future__ import annotations

from dataclasses import dataclass

from environment.manifest import Manifest
from environment.settings import Pgbouncer, Postgres, ProductSettings
from environment.types import Group

RESERVED = 5
"""Of the direct reserve, what only Keel's own logins may take (reserved_connections, from PostgreSQL 16 on): they watch, end
sessions, dump and look passwords up however full the server is."""


@dataclass(frozen=True)
class Connections:
    """What one product may hold at most on one server."""

    pooled: int
    """All that the poolers may open for it."""
    direct: int
    """What its database takes beyond that."""

    @property
    def database(self) -> int:
        """Of its database, whoever comes."""
        return self.pooled + self.direct

    @property
    def login(self) -> int:
        """Of one of its programs: the pools whole, and a session or two next to them. Room for a migration stays."""
        return self.pooled + self.direct // 2

    @property
    def migrator(self) -> int:
        """Of its migrations."""
        return self.direct


def pooled(edges: int, share: ProductSettings) -> int:
    """What all poolers may open for one product: both of its databases may lead to the same server."""
    return edges * (share.max_db_connections + share.readonly_max_db_connections)


@dataclass(frozen=True)
class LookUps:
    """What one pooler may open to look passwords up."""

    primary: int
    replicas: int
    """Of those who read. They lead to the primary where there is no replica."""

    @property
    def server(self) -> int:
        """On one server at the most."""
        return self.primary + self.replicas


def looking_up(pgbouncer: Pgbouncer) -> LookUps:
    """Half of `lookup_connections` for each, and one at least."""
    replicas = max(1, pgbouncer.lookup_connections // 2)
    return LookUps(primary=max(1, pgbouncer.lookup_connections - replicas), replicas=replicas)


def direct(postgres: Postgres, products: int) -> int:
    """One product's share of the direct reserve."""
    return postgres.direct_reserve // products


def connections(manifest: Manifest) -> dict[str, Connections]:
    """Product → what it may hold."""
    edges, share = len(manifest.carrying(Group.EDGE)), direct(manifest.postgres, len(manifest.products))
    return {
        name: Connections(pooled=pooled(edges, entry.limits), direct=share) for name, entry in manifest.products.items()
    }
