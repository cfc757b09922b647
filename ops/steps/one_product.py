"""One product's database brought to its revision, or made from nothing, outside `pulumi up`: its steps, on demand.

Both write down that the step began (environment/unfinished.py). So where they do not end well, the next `up` does it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from psycopg.sql import SQL, Identifier

from db.spec import MAINTENANCE_DATABASE
from environment import unfinished
from environment.errors import UNCHANGED, KeelError, Refused
from environment.report import Report
from ops.hosts import lock
from ops.hosts.session import Session
from ops.products import databases, migrations, pools
from ops.products.lookup import product_of
from ops.steps import migration


class NoDatabase(KeelError):
    """The product has no database yet: whose, and what makes it."""


class Outcome(NamedTuple):
    """What became of a database."""

    before: str | None
    after: str
    seconds: float
    differences: tuple[str, ...]
    """From the models of this checkout; none is the rule."""
    ended: tuple[str, ...] = ()
    """Sessions that were ended, by login."""


class Holding(NamedTuple):
    """What a database holds that a reset takes away."""

    there: bool
    """False where an earlier reset was interrupted after it had dropped it."""
    bytes: int
    sessions: tuple[str, ...]
    """How many of which login."""


SIZE = b"select pg_database_size(oid) from pg_database where datname = %s"
SESSIONS = b"""
select format('%%s of %%s', count(*), usename) from pg_stat_activity where datname = %s and usename is not null
group by usename order by usename
"""


def migrate(session: Session, name: str, report: Report) -> Outcome:
    """Bring the product to its revision, as the step of `up` does. Raises UnknownProduct, Locked, NoDatabase, MigrationError or
    ReleaseRefused."""
    product_of(session.manifest, name)
    began = time.monotonic()
    with _at_work(session, "migration", name):
        if not held(session, name).there:
            raise NoDatabase(
                f"{session.manifest.identity.name} has no database {name}",
                UNCHANGED,
                f"`make up ENV={session.manifest.identity.name}` makes it",
            )
        moved = migration.bring(session, name, report)
        found = _differences(session, name)
    return Outcome(*moved, time.monotonic() - began, found)


def resettable(session: Session, name: str) -> None:
    """Raise UnknownProduct, or Refused where the environment's data is worth keeping."""
    product_of(session.manifest, name)
    identity = session.manifest.identity
    if identity.kind.guarded:
        raise Refused(
            f"{identity.name} is {identity.kind}: its databases are not reset",
            UNCHANGED,
            "To go back in time: ./keel restore --product. To undo a migration: ./keel db rollback",
        )


def held(session: Session, name: str) -> Holding:
    """What the product's database holds now, as the catalogues that all databases share have it."""
    with session.superuser() as superuser, superuser.connect(MAINTENANCE_DATABASE) as connection:
        size = connection.execute(SIZE, [name]).fetchone()
        sessions = connection.execute(SESSIONS, [name]).fetchall()
    return Holding(size is not None, size[0] if size else 0, tuple(line for (line,) in sessions))


def reset(session: Session, name: str, report: Report) -> Outcome:
    """Drop the product's database and make it from nothing: provisioned, migrated and seeded, as `up` makes a new one.

    Between the drop and the end the product's programs may not log in. Raises as :func:`migrate`, or Refused.
    """
    resettable(session, name)
    product, began = product_of(session.manifest, name), time.monotonic()
    # The step that makes databases: all migrations follow it.
    with _at_work(session, "databases", "databases"):
        ended = _drop(session, name, report)
        databases.provide(session, report)
        moved = migration.bring(session, name, report)
        pools.renew(session, product, report)  # replicas have it when this ends
        found = _differences(session, name)
    return Outcome(None, moved.after, time.monotonic() - began, found, ended)


def _drop(session: Session, name: str, report: Report) -> tuple[str, ...]:
    with session.superuser() as superuser, superuser.connect(MAINTENANCE_DATABASE) as connection:
        connection.autocommit = True
        ended = tuple(line for (line,) in connection.execute(SESSIONS, [name]).fetchall())
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
    report(f"{name}: dropped; ended sessions: {', '.join(ended) or 'none'}")
    return ended


def _differences(session: Session, name: str) -> tuple[str, ...]:
    return tuple(map(str, migrations.differences(session, name)))


@contextmanager
def _at_work(session: Session, action: str, name: str) -> Iterator[None]:
    """With other controllers kept off the primary's host; the step runs again in the next `up` unless this ends well."""
    environment = session.manifest.identity.name
    with (
        lock.held(session, [session.leader().name]),
        unfinished.under_way(environment, unfinished.step_key(action, name)),
    ):
        yield
