"""What the cluster should hold: roles, databases, grants. Derived from the products; talks to no server.

Roles of the cluster, apart from Patroni's own superuser and replication role (PLAT-09):

- `keel_admin`: maintenance (JEEX-06). Not a superuser: it can end sessions, make a checkpoint, create a
  scratch database and, from PostgreSQL 17 on, vacuum and reindex, but reads no row of a product. No
  CREATEROLE: roles come from the model, and on PostgreSQL 15 that right is one over every product role.
- `keel_monitor`: pg_monitor. `keel_backup`: reads every row on purpose (BYPASSRLS, Q-18, PLAT-19), and names restore points.
- `keel_sessions`: sees ages of sessions and ends them; it comes by the socket of a database host only (W9).
- `keel_look`: Keel itself, wherever it only looks into a product's database (decision 15). It may connect, read the
  catalogue as everybody may, and the version table. No password: it comes over the socket, through SSH.
- `keel_pgbouncer`: may call `keel.user_lookup` in the database `postgres`, nothing else.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from pydantic import Field, SecretStr

from environment.names import ADMIN, BACKUP, LOOK, MONITOR, PGBOUNCER, REPLICATION, REWIND, SESSIONS, SUPERUSER
from environment.products import Product
from environment.types import Model

PUBLIC = "PUBLIC"
MAINTENANCE_DATABASE = "postgres"
"""Holds what belongs to the cluster and not to a product: PgBouncer's look-up, monitoring sessions."""

WRITE = ("SELECT", "INSERT", "UPDATE", "DELETE")


class Migrated(Enum):
    """How far a product's database has come; decides whether the application is admitted (PLAT-28)."""

    NEVER = "never"
    """No revision applied: the application role must not log in."""
    BEHIND = "behind"
    """Between two releases, or a first migration that stopped half-way: the role stays as it is."""
    HEAD = "head"


UNLIMITED = -1
"""PostgreSQL's word for a connection limit that is none."""


class Bounds(Model):
    """What a product may take of the server at most (W9); environment/budget.py and the settings say how much."""

    database: int = Field(default=UNLIMITED, description="Connections to its database, whoever's.")
    login: int = Field(default=UNLIMITED, description="Connections of one of its programs.")
    migrator: int = Field(default=UNLIMITED, description="Connections of its migrations.")
    settings: tuple[tuple[str, str], ...] = Field(default=(), description="What ends or bounds its programs' work.")
    of_database: tuple[tuple[str, str], ...] = Field(
        default=(), description="Parameters that its database has otherwise."
    )
    startup: tuple[tuple[str, str], ...] = Field(
        default=(),
        description="What its logins through the pooler begin with in its database, because clients send it.",
    )


UNBOUNDED = Bounds()


class ClusterSpec(Model):
    """Everything provisioning has to know. Passwords are never printed: SecretStr."""

    products: tuple[Product, ...]
    passwords: Mapping[str, SecretStr] = Field(description="By role name, one for each role that can log in.")
    locale: str = Field(description="Collate and ctype of every product database, libc (PLAT-02).")
    migrated: Mapping[str, Migrated] = Field(default_factory=dict, description="By product; missing: never.")
    development: bool = Field(default=False, description="An environment of kind dev (BAC-11, X-46).")
    unlisted: tuple[Product, ...] = Field(
        default=(), description="Products of this checkout that the stack does not list: parked when they are there."
    )
    copies: bool = Field(
        default=False, description="Throwaway copies of products' databases may be there (environment/scratch.py)."
    )
    kept_roles: tuple[str, ...] = Field(
        default=(), description="Roles made elsewhere and not declared here, such as Patroni's replication role."
    )
    maintenance_logins: tuple[str, ...] = Field(
        default=(),
        description="Roles made elsewhere that connect to `postgres`, such as Patroni's rewind role.",
    )
    bounds: Mapping[str, Bounds] = Field(default_factory=dict, description="By product; missing: none.")

    def bounds_of(self, product: str) -> Bounds:
        """What the product's programs may not exceed."""
        return self.bounds.get(product, UNBOUNDED)


@dataclass(frozen=True)
class Role:
    """Declared attributes of a role. What is not named here is off, and no role expires."""

    name: str
    login: bool | None = False
    """None: left as found, off when the role is created."""
    password: bool = False
    bypassrls: bool = False
    createdb: bool = False
    createrole: bool = False
    replication: bool = False
    superuser: bool = False
    inherits: frozenset[str] = frozenset()
    """Roles whose rights it has all the time."""
    becomes: frozenset[str] = frozenset()
    """Roles it has the rights of only after SET ROLE, so that nothing is created under the wrong owner."""
    settings: tuple[tuple[str, str], ...] = ()
    connections: int = UNLIMITED


MADE_ELSEWHERE = (
    Role(SUPERUSER, login=True, superuser=True, createdb=True, createrole=True, replication=True, bypassrls=True),
    Role(REPLICATION, login=True, replication=True),
    Role(REWIND, login=True),
)
"""By initdb and by Patroni, which looks after their passwords: of those that are there, the attributes are compared."""


class Grant(NamedTuple):
    """One privilege. `future` is empty for an existing object, else what the owner creates there later."""

    kind: str
    """DATABASE or SCHEMA."""
    object: str
    grantee: str
    privilege: str
    future: str = ""
    """TABLES or SEQUENCES: a default privilege in that schema (PLAT-10)."""


BY_HAND = (("search_path", "pg_catalog"),)
"""Settings of who comes by hand with more rights than a product's. What psql itself asks is not all qualified, and an owner may
set the search path for that database; a role's own setting wins over that (W0)."""
OF_THE_SUPERUSER = (*BY_HAND, ("idle_session_timeout", "0"), ("lock_timeout", "0"), ("statement_timeout", "0"))
"""Patroni's and Keel's sessions on a host must answer whatever is set for the server: a millisecond there hid all that was set."""
WITHDRAWN = frozenset({(BACKUP, "pg_monitor")})
"""Memberships, member first, that earlier releases gave: they end wherever they are found. What an owner has planted runs as
who dumps, and must not read other products' queries (W0)."""


def cluster_roles(version: int) -> Iterator[Role]:
    """Roles that exist once, for a server of this major version."""
    maintain = {"pg_maintain"} if version >= 17 else set()
    # They get in when products have filled the server (budget.RESERVED).
    reserved = {"pg_use_reserved_connections"} if version >= 16 else set()
    admin = frozenset({"pg_monitor", "pg_signal_backend", "pg_checkpoint"} | maintain | reserved)
    yield Role(ADMIN, login=True, password=True, createdb=True, inherits=admin, settings=BY_HAND)
    yield Role(MONITOR, login=True, password=True, inherits=frozenset({"pg_monitor"} | reserved))
    yield Role(
        BACKUP, login=True, password=True, bypassrls=True,
        inherits=frozenset({"pg_read_all_data"} | reserved),
        settings=(("lo_compat_privileges", "on"),),  # or one large object of an application's would end every dump
    )  # fmt: skip
    yield Role(PGBOUNCER, login=True, password=True, inherits=frozenset(reserved))
    yield Role(SESSIONS, login=True, inherits=frozenset({"pg_signal_backend", "pg_read_all_stats"} | reserved))
    yield Role(LOOK, login=True, inherits=frozenset(reserved))


def product_roles(product: Product, migrated: Migrated, bounds: Bounds = UNBOUNDED) -> Iterator[Role]:
    """Roles of one product; those that others become come first (PLAT-09, PLAT-19).

    The bounds are those of its programs. A migration may take as long, wait as long and sort as much as it must; so may
    dumps, which are another login's.
    """
    yield Role(product.owner_role)
    becomes = {product.owner_role}
    if product.auth_role:
        yield Role(product.auth_role)
        becomes.add(product.auth_role)
    yield Role(
        product.migrator_role, login=True, password=True, bypassrls=True, becomes=frozenset(becomes),
        settings=(("statement_timeout", "0"),),  # a long migration is not an error
        connections=bounds.migrator,
    )  # fmt: skip
    for client in product.client_roles:
        yield Role(
            client, login={Migrated.HEAD: True, Migrated.NEVER: False}.get(migrated), password=True,
            settings=(("statement_timeout", product.statement_timeout), *bounds.settings),  # ADA-02
            connections=bounds.login,
        )  # fmt: skip
    yield Role(
        product.readonly_role, login=True, password=True,
        settings=(("default_transaction_read_only", "on"), *bounds.settings), connections=bounds.login,
    )  # fmt: skip


def maintenance_grants(spec: ClusterSpec) -> set[Grant]:
    """Who may connect to the database `postgres`; PUBLIC may not, or every application could (PLAT-10)."""
    logins = (ADMIN, MONITOR, BACKUP, PGBOUNCER, SESSIONS, LOOK, *spec.maintenance_logins)
    return {Grant("DATABASE", MAINTENANCE_DATABASE, role, "CONNECT") for role in logins}


def database_grants(product: Product) -> set[Grant]:
    """Who may connect to a product's database (PLAT-10)."""
    logins = (*product.client_roles, product.readonly_role, product.migrator_role, ADMIN, MONITOR, BACKUP, LOOK)
    return {Grant("DATABASE", product.name, role, "CONNECT") for role in logins}


def product_grants(product: Product, *, development: bool = False) -> set[Grant]:
    """Privileges in a product's database that no migration has to repeat (PLAT-10, X-46)."""
    clients, readonly, migrator = product.client_roles, product.readonly_role, product.migrator_role
    auth = [product.auth_role] if product.auth_role else []
    # Who looks sees names in `public` as short as everybody: the server leaves a schema out of the path of who may not use it.
    named = (*clients, readonly, migrator, ADMIN, MONITOR, LOOK, *auth)
    usage = {Grant("SCHEMA", "public", role, "USAGE") for role in named}
    if development and product.creates_in_dev:
        usage |= {Grant("SCHEMA", "public", product.app_role, "CREATE")}
    if auth:
        usage |= {Grant("SCHEMA", "auth", role, "USAGE") for role in (*clients, migrator)}
    # The version table: the migrator reads it as itself, monitor and Keel tell how far the database is (PLAT-28).
    told = (migrator, readonly, MONITOR, LOOK)
    usage |= {Grant("SCHEMA", "alembic", role, "USAGE") for role in told}
    future = {Grant("SCHEMA", "public", role, right, "TABLES") for role in (*clients, migrator) for right in WRITE}
    future |= {Grant("SCHEMA", "public", role, "USAGE", "SEQUENCES") for role in (*clients, migrator)}
    future |= {Grant("SCHEMA", "public", readonly, "SELECT", "TABLES")}
    future |= {Grant("SCHEMA", "alembic", role, "SELECT", "TABLES") for role in told}
    return usage | future


LARGE_OBJECTS = ("lo_creat(integer)", "lo_create(oid)", "lo_from_bytea(oid,bytea)")
"""What makes one. They have no row-level security: all tenants, whose role is the same, would see it (W15)."""
ADVISORY_LOCKS = tuple(
    f"pg_{tries}advisory_{until_commit}lock{shared}({keys})"
    for tries in ("", "try_")
    for until_commit in ("", "xact_")
    for shared in ("", "_shared")
    for keys in ("bigint", "integer,integer")
)
"""What takes one. They are in the table of locks, which all databases share: one session could fill it in a second, and no one could
log in to any product, the superuser neither. Migrations take turns by them (W9, W15)."""

BACKUP_CALLS = frozenset({
    "pg_create_restore_point(text)", "pg_switch_wal()", "pg_ls_archive_statusdir()", "pg_ls_waldir()",
})  # fmt: skip
"""Functions that the backup role may call in the database `postgres`, and in no product's: it records known moments, and sees
what waits for the archive."""


def schemas(product: Product) -> dict[str, str]:
    """Schemas other than `public`, and their owners.

    `alembic` keeps the version table out of the product's own schema; `auth` holds the look-up functions,
    owned by the role that sees just enough of the rows (PLAT-18).
    """
    return {"alembic": product.owner_role} | ({"auth": product.auth_role} if product.auth_role else {})
