"""Throwaway copies of a product's database, made on the server and dropped there.

A database at head with its reference rows is kept for each product, closed to everybody. A copy of it takes a fraction of a
second, because the server copies files. It is made again when the product's files differ from those it was made of.

The superuser's session is in the database `postgres`. In a database of these it only carries out what provisioning does, in
one that is empty (decision 15); a copy it never enters. What a product's files say runs as the product's migrator.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from db import provision
from db.change import privileges
from db.found import FRESH_DATABASE, Connect, Contents
from db.spec import MAINTENANCE_DATABASE, Bounds, Grant, database_grants
from environment import scratch as names
from environment.errors import UNCHANGED, Refused
from environment.products import Product
from environment.report import Report

LASTS = timedelta(hours=24)
"""A copy that is older is taken for forgotten: who makes the next one of its product drops it."""
LOCK = int.from_bytes(b"copy", "big")

_LISTED = b"""
select datname::text, pg_database_size(d.oid), (select count(*) from pg_stat_activity a where a.datid = d.oid)
from pg_database d where starts_with(datname, %s) order by datname
"""


FEWEST = 5
"""Connections without which a copy is of no use: a program's, a migration's, and one that looks."""
SHARE = 3
"""A copy takes at most this part of what is left, so that those after it have room too: parallel test runs have one each."""
_LEFT = b"""
select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true)::int, 0)
       - (select count(*) from pg_stat_activity where backend_type = 'client backend' and not datname ~ %(copy)s)
       - (select coalesce(sum(datconnlimit), 0) from pg_database where datname ~ %(copy)s)
"""


@dataclass(frozen=True)
class Source:
    """What copies of one product are made of."""

    product: Product
    digest: str
    """Of everything that decides what the database at head is."""
    locale: str
    bounds: Bounds
    """Of the product; a copy has the settings of its database, and takes as many connections as one of its logins, or a third of what is left."""
    development: bool
    revision: str | None
    """Where the stack holds the product, None for head."""
    url: Callable[[str], str]
    """The migrator's URL of a database, past the pooler."""


@dataclass(frozen=True)
class Copy:
    """A copy that is there."""

    name: str
    made: datetime
    bytes: int
    sessions: int

    @property
    def age(self) -> timedelta:
        """Since it was made, by this machine's clock."""
        return datetime.now(UTC) - self.made


def make(connect: Connect, source: Source, report: Report) -> str:
    """Make a copy and return its name. The first one after a change of the product's files takes as long as its migrations.
    Raises MigrationError, or Refused where the server has no room for it."""
    product, template = source.product, names.template(source.product.name, source.digest)
    with _session(connect) as connection:
        while True:
            with _turn(connection, product.name, shared=True):
                if _exists(connection, template):
                    return _copy(connection, source, template)
            with _turn(connection, product.name, shared=False):
                if not _exists(connection, template):
                    _prepare(connect, connection, source, template, report)


@contextmanager
def bare(connect: Connect, source: Source) -> Iterator[str]:
    """A database with the name of a copy, provisioned and before its first revision; dropped in the end. Where this process is
    killed, it is a forgotten copy."""
    name = names.fresh(source.product.name)
    try:
        with _session(connect) as connection:
            _provisioned(connect, connection, source, name)
        yield name
    finally:
        _drop(connect, [name])


def copies(connect: Connect, product: Product) -> list[Copy]:
    """The product's copies, the oldest first."""
    with _session(connect) as connection:
        rows = _listed(connection, product)
    return [Copy(name, names.made(name), *rest) for name, *rest in rows if names.is_copy(name, product.name)]


def drop(connect: Connect, product: Product, wanted: Iterable[str]) -> None:
    """Drop copies, and end the sessions with them; one that is not there is as good as dropped. Raises Refused for a name that is
    no copy's of the product, before anything is dropped."""
    wanted = list(wanted)
    if strange := [name for name in wanted if not names.is_copy(name, product.name)]:
        raise Refused(
            f"{', '.join(strange)}: not the name of a scratch copy of {product.name}",
            UNCHANGED,
            f"./keel db scratch {product.name} --list shows them",
        )
    _drop(connect, wanted)


def forget(connect: Connect, product: Product) -> None:
    """Drop all that was ever made for copies of the product."""
    with _session(connect) as connection:
        rows = _listed(connection, product)
    _drop(connect, [name for name, *_ in rows if names.belongs(name, [product.name])])


def left(connection: "psycopg.Connection[Any]") -> int:
    """Connections that no session has and no copy may take, of those that are for clients."""
    row = connection.execute(_LEFT, {"copy": names.COPIES}).fetchone()
    return int(row[0]) if row else 0


def _room(connection: "psycopg.Connection[Any]", source: Source) -> int:
    """How many connections one more copy may take: all copies together have room next to the sessions that there are. Raises Refused."""
    found = left(connection)
    if found < FEWEST:
        raise Refused(
            f"of the server's connections {max(found, 0)} are left for a copy of {source.product.name}, which needs {FEWEST}",
            UNCHANGED,
            f"Drop copies (./keel db scratch {source.product.name} --list shows them, of each product its own), end sessions, or raise "
            "keel:postgres.max_connections",
        )
    return min(source.bounds.login, max(FEWEST, found // SHARE))


def _copy(connection: "psycopg.Connection[Any]", source: Source, template: str) -> str:
    """It takes no connections until only the product's logins may connect: as it comes, everybody may. One is made at a time: each counts
    those before it.

    By the log, not by files: that needs no checkpoint. A template of 8 MB took 0.1 to 0.3 s instead of 0.7 to 1.3.
    """
    name = names.fresh(source.product.name)
    with _turn(connection, "", shared=False):
        _execute(
            connection, "CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY wal_log ALLOW_CONNECTIONS false CONNECTION LIMIT {}",
            Identifier(name), Identifier(source.product.owner_role), Identifier(template), Literal(_room(connection, source)),
        )  # fmt: skip
    with connection.transaction():
        connection.execute(SQL("; ").join([*_admission(source, name), _opened(name, True)]))
    return name


def _prepare(
    connect: Connect, connection: "psycopg.Connection[Any]", source: Source, template: str, report: Report
) -> None:
    """Make the template, as `up` makes the product's database. It gets its name when it is ready, so an interrupted one is none."""
    from db import migrate  # with it comes Alembic, which no other copy needs and which is slow to import

    product, name = source.product, names.making(source.product.name)
    report(f"{product.name}: the first copy of these files: migrated once")
    forgotten = _listed(connection, product)
    _drop(connect, [other for other, *_ in forgotten if names.is_template(other, product.name)])
    _provisioned(connect, connection, source, name)
    url = source.url(name)
    migrate.upgrade(product, url, target=source.revision)
    if source.revision is None:
        migrate.seed(product, url, "reference", production=False)
    _settle(product, url)
    connection.execute(_opened(name, False))
    connection.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [name])
    _execute(connection, "ALTER DATABASE {} RENAME TO {}", Identifier(name), Identifier(template))


def _provisioned(connect: Connect, connection: "psycopg.Connection[Any]", source: Source, name: str) -> None:
    """An empty database with what `up` gives the product's before the first revision."""
    connection.execute(provision.created(name, source.product.owner_role, source.locale))
    with connection.transaction():
        connection.execute(SQL("; ").join(_admission(source, name)))
    inside = provision.contents(source.product, Contents(), development=source.development)
    provision.apply(connect, [replace(change, database=name) for change in inside])


def _settle(product: Product, url: str) -> None:
    """Copies begin with statistics for the planner and without work for vacuum. As the owner, whose index expressions run."""
    from db.url import conninfo  # SQLAlchemy's

    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        connection.execute(SQL("set role {}").format(Identifier(product.owner_role)))
        for table in product.tables:
            connection.execute(SQL("vacuum (freeze, analyze) public.{}").format(Identifier(table)))


def _admission(source: Source, name: str) -> Iterator[Composable]:
    """Statements that let in who may connect to the product's database, and give it that one's settings."""
    fresh = frozenset(Grant("DATABASE", name, role, right) for right, role in FRESH_DATABASE)
    wanted = {grant._replace(object=name) for grant in database_grants(source.product)}
    yield from (change.sql for change in privileges(fresh, wanted, MAINTENANCE_DATABASE, ""))
    for setting, value in provision.of_database(source.bounds).items():
        yield SQL("ALTER DATABASE {} SET {} TO {}").format(Identifier(name), Identifier(setting), Literal(value))


def _opened(name: str, takes: bool) -> Composed:
    return SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(Identifier(name), Literal(takes))


def _drop(connect: Connect, wanted: Iterable[str]) -> None:
    with _session(connect) as connection:
        for name in wanted:
            _execute(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", Identifier(name))


def _listed(connection: "psycopg.Connection[Any]", product: Product) -> list[tuple[Any, ...]]:
    """Name, bytes and sessions of each database whose name begins as those of the product's copies do."""
    return connection.execute(_LISTED, [f"{product.name}{names.WORD}"]).fetchall()


def _exists(connection: "psycopg.Connection[Any]", name: str) -> bool:
    return connection.execute("select from pg_database where datname = %s", [name]).fetchone() is not None


def _execute(connection: "psycopg.Connection[Any]", statement: str, *parts: Composable) -> None:
    connection.execute(SQL(statement).format(*parts))


@contextmanager
def _session(connect: Connect) -> Iterator["psycopg.Connection[Any]"]:
    """With the catalogues that all databases share; each statement is a transaction of its own."""
    with connect(MAINTENANCE_DATABASE) as connection:
        connection.autocommit = True
        yield connection


@contextmanager
def _turn(connection: "psycopg.Connection[Any]", what: str, *, shared: bool) -> Iterator[None]:
    """Of a product: no one makes a template while others copy it. Products take no such lock in the database `postgres`."""
    word = "_shared" if shared else ""
    key = [LOCK, what]
    connection.execute(f"select pg_advisory_lock{word}(%s, hashtext(%s))", key)
    try:
        yield
    finally:
        connection.execute(f"select pg_advisory_unlock{word}(%s, hashtext(%s))", key)
