"""Alembic's environment for all products; the section of alembic.ini says which: `alembic -n NAME …`."""

import asyncio
import logging.config
import os
from collections.abc import Collection
from typing import Any

from alembic import command, context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, pool
from sqlalchemy.ext.asyncio import create_async_engine

from db import repeatable
from db.alembic_options import OPTIONS
from db.models import metadata
from db.url import database_url
from environment.products import Product, catalogue
from migrations import session

config = context.config


def product() -> Product:
    """The product whose section of alembic.ini was named."""
    name = config.config_ini_section
    if name not in catalogue():
        raise CommandError(f"name the product: alembic -n NAME …, with NAME one of {', '.join(catalogue())}")
    return catalogue()[name]


def url() -> URL:
    """Where to migrate: pytest-alembic gives an engine, `db.migrate` a URL; by hand -x url= or a variable.

    It never becomes part of the configuration: a % in the password would be an interpolation (Q-33, BAC-28).
    """
    given = config.attributes.get("connection")
    if isinstance(given, Engine):
        return given.url
    given = (
        config.attributes.get("url")
        or context.get_x_argument(as_dictionary=True).get("url")
        or os.environ.get("KEEL_DATABASE_URL")
    )
    if not given:
        raise CommandError("no database: set KEEL_DATABASE_URL or give -x url=postgresql+psycopg://…")
    return database_url(str(given))


class Steps:
    """What Alembic reports after each revision: how far the history has come."""

    def __init__(self) -> None:
        self.reached: set[str] = set()

    def __call__(self, ctx: MigrationContext, step: MigrationInfo, heads: Collection[str], *_: Any, **__: Any) -> None:
        """End what the revision has set, such as the missing lock_timeout of a concurrent index, and take note."""
        for statement in session.settings(product()):
            ctx.execute(statement)
        self.reached = set(heads) if step.is_upgrade and step.is_migration else set()

    @property
    def at_head(self) -> bool:
        """The last step was an upgrade to the newest revision."""
        return self.reached == set(ScriptDirectory.from_config(config).get_heads())


def run_offline(target: Product) -> None:
    """Print the SQL that an online run would execute, for psql."""
    steps = Steps()
    context.configure(
        dialect_name="postgresql",
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        target_metadata=metadata(target),
        on_version_apply=steps,
        **OPTIONS,
    )
    context.static_output(session.offline_prologue(target))
    with context.begin_transaction():
        context.run_migrations()
    if steps.at_head:
        # PostgreSQL plans a function when it is created, here before the policies that let it see its rows.
        context.static_output(f"BEGIN;\nSET LOCAL row_security = on;\n{repeatable.script(target)}")
        context.static_output(f"{repeatable.record(target)}\nCOMMIT;")


def run_online(connection: Connection, target: Product) -> None:
    """Run on one session, which holds the lock to its end; an upgrade to head brings the repeatable SQL along.

    Also one that finds nothing to do: a run that was killed after the last revision is finished by the next.
    """
    steps = Steps()
    session.prepare(connection, target, wait=config.attributes.get("wait", session.WAIT))
    context.configure(connection=connection, target_metadata=metadata(target), on_version_apply=steps, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()
    at = set(context.get_context().get_current_heads())
    if steps.at_head or (upgrading() and at == set(ScriptDirectory.from_config(config).get_heads())):
        repeatable.apply(target, connection.engine.url.render_as_string(hide_password=False))


def upgrading() -> bool:
    """`alembic upgrade …` by hand, whatever it finds to do."""
    return config.cmd_opts is not None and config.cmd_opts.cmd[0] is command.upgrade


async def run_async(address: URL, target: Product) -> None:
    """The same over an async driver (JEEX-23)."""
    engine = create_async_engine(
        address,
        poolclass=pool.NullPool,
        connect_args={"server_settings": {"application_name": session.NAME}},
    )
    async with engine.connect() as connection:
        await connection.run_sync(run_online, target)


def main() -> None:
    """Offline or online, sync or async."""
    if config.cmd_opts and config.config_file_name:  # only by hand: a caller in Python has its own logging
        logging.config.fileConfig(config.config_file_name, disable_existing_loggers=False)
    target = product()
    if context.is_offline_mode():
        run_offline(target)
        return
    address = url()
    if address.get_driver_name() == "asyncpg":
        asyncio.run(run_async(address, target))
        return
    engine = create_engine(address, poolclass=pool.NullPool, connect_args={"application_name": session.NAME})
    with engine.connect() as connection:
        run_online(connection, target)


main()
