"""The session of a migration: the right database, its turn, the owner's rights, no long waits on locks."""

import logging
import time

from alembic.util import CommandError
from sqlalchemy import Connection, text

from environment import scratch
from environment.products import Product

NAME = "keel-migrate"
"""application_name of a migration, so that it can be found in pg_stat_activity."""

LOCK = int.from_bytes(b"keel", "big")
"""Key of the advisory lock; such locks belong to one database, so products do not wait for each other."""

WAIT = 600.0
"""Seconds to wait for another migration of the same product."""

POLL = 0.25

LOCK_TIMEOUT = "5s"
"""A waiting ALTER TABLE blocks everybody who comes after it, so it does not wait for long."""

CLIENT_CHECK = "2s"
"""A statement whose client was killed ends after this time, and with it the lock of its migration. Otherwise a
concurrent index goes on waiting for an old transaction, without a client, and keeps the next migration out."""

log = logging.getLogger("alembic.runtime.migration")
"""Alembic's own, so that waiting is reported where its progress is."""

_HOLDER = text(
    "select format('%s, pid %s, connected since %s', usename, pid, coalesce(backend_start::text, 'an unknown time'))"
    " from pg_locks l join pg_stat_activity a using (pid)"
    " where l.locktype = 'advisory' and l.granted and l.objid = :key"
    " and l.database = (select oid from pg_database where datname = current_database())"
)


def settings(product: Product) -> tuple[str, ...]:
    """What every revision runs under, whatever the one before it has set; the same online and in printed SQL.

    The owner is subject to row-level security: with `row_security` off a statement that would silently
    skip rows is an error instead. A data step starts with SET ROLE NONE: the migrator sees all rows.
    """
    return (
        f"SET ROLE {product.owner_role}",
        "SET row_security = off",
        f"SET lock_timeout = '{LOCK_TIMEOUT}'",
        "SET statement_timeout = 0",
        f"SET client_connection_check_interval = '{CLIENT_CHECK}'",
        "SET search_path = public",
    )


def prepare(connection: Connection, product: Product, wait: float) -> None:
    """Make a fresh connection ready to migrate; it holds the lock until it is closed.

    Raises CommandError, and nothing was changed: wrong database, a replica, another migration still running.
    """
    connection.execution_options(isolation_level="AUTOCOMMIT")
    database, replica = connection.execute(text("select current_database(), pg_is_in_recovery()")).one()
    if database != product.name and not scratch.belongs(database, [product.name]):
        raise CommandError(
            f"the URL leads to database {database}, but this is the history of {product.name}. "
            "Nothing was changed. Give the URL and the name (alembic -n NAME …) of the same product"
        )
    if replica:
        raise CommandError("the URL leads to a replica. Nothing was changed. Give the URL of the primary")
    _take_turn(connection, product, wait)
    for statement in settings(product):
        connection.execute(text(statement))
    connection.commit()
    connection.execution_options(isolation_level="READ COMMITTED")


def _take_turn(connection: Connection, product: Product, wait: float) -> None:
    """Poll for the lock, with no transaction open in between.

    A blocking pg_advisory_lock is a statement with a snapshot: CREATE INDEX CONCURRENTLY of the migration
    before us would wait for it, and it for that migration.
    """
    deadline = time.monotonic() + wait
    told = False
    while not connection.scalar(text("select pg_try_advisory_lock(:key)"), {"key": LOCK}):
        if time.monotonic() > deadline:
            holder = connection.scalar(_HOLDER, {"key": LOCK}) or "a session that has ended"
            raise CommandError(
                f"another migration of {product.name} did not end within {wait:g} s. Nothing was changed. "
                f"The lock is held by {holder}. Run again when it has ended; if it hangs, end it with "
                "pg_terminate_backend(PID)"
            )
        if not told:
            log.info("%s: waiting for another migration to end", product.name)
            told = True
        time.sleep(POLL)


def offline_prologue(product: Product) -> str:
    """The same preparation as SQL for psql."""
    return "\n".join(
        (
            "\\set ON_ERROR_STOP on",
            "DO $$ BEGIN",
            f"  IF current_database() <> '{product.name}' THEN",
            f"    RAISE EXCEPTION 'wrong database: %, not {product.name}', current_database();",
            "  END IF;",
            f"  IF NOT pg_try_advisory_lock({LOCK}) THEN",
            f"    RAISE EXCEPTION 'another migration of {product.name} is running';",
            "  END IF;",
            "END $$;",
            *(f"{statement};" for statement in settings(product)),
        )
    )
