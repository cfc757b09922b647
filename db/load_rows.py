"""Fill a product's database with the rows of `db.populate`, by COPY and in one transaction (BAC-33, CF-26).

Every URL is the migrator's and leads directly to the primary: that role passes row-level security, and COPY
would hold a pooled connection for minutes.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import psycopg
from psycopg import sql

from db import migrate
from db.populate import Rows, Size, rows
from db.url import conninfo
from environment.errors import UNCHANGED, KeelError
from environment.products import Product

Progress = Callable[[str, int, int], None]
"""Called with the table, how many of its rows are done, and how many it gets."""

STEP = 5_000
"""Rows between two reports of progress."""

_REFERRING = b"""
with recursive emptied (id) as (
    select format('public.%%I', name)::regclass::oid from unnest(%s::text[]) name
    union
    select conrelid from pg_constraint join emptied on confrelid = id where contype = 'f'
)
select relname from emptied join pg_class c on c.oid = id order by relname
"""

_SEQUENCES = b"""
select a.attname, pg_get_serial_sequence(format('public.%%I', c.relname), a.attname) as sequence
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.oid = format('public.%%I', %s::text)::regclass
  and pg_get_serial_sequence(format('public.%%I', c.relname), a.attname) is not null
"""


class PopulateError(KeelError):
    """Rows that were not made: product, table, row, the database's words, what was left, what to do."""


@dataclass(frozen=True)
class Populated:
    """What one table got, and how long that took in seconds."""

    rows: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / max(self.seconds, 1e-6)


def emptied(product: Product, url: str, size: Size) -> dict[str, int]:
    """The tables that `populate` empties to replace their rows, and the rows they have: those it fills, and all
    that refer to them."""
    with psycopg.connect(conninfo(url)) as connection:
        return {table: _count(connection, table) for table in _referring(connection, rows(product, size))}


def populate(
    product: Product, url: str, size: Size, *, seed: int, progress: Progress, replace: bool = False
) -> dict[str, Populated]:
    """Make the rows, the same for the same seed, and return what each table got.

    Raises PopulateError or MigrationError; then nothing was changed. So also when the first table, on which the
    others depend, has rows; with `replace` these are removed, and reference rows put back.
    """
    at, head = migrate.current(product, url), migrate.head(product)
    if at != head:
        raise PopulateError(
            f"{product.name}: the database is at revision {at}, the rows are made for {head}",
            UNCHANGED,
            "Upgrade it first: make migrate",
        )
    tables = rows(product, size)
    try:
        with psycopg.connect(conninfo(url)) as connection:
            if replace:
                _empty(connection, product, tables)
            elif found := _count(connection, tables[0].table):
                raise PopulateError(
                    f"{product.name}: table {tables[0].table} has {found} rows already",
                    UNCHANGED,
                    "Remove them and all that refer to them: --replace",
                )
            done = {table.table: _copy(connection, product, table, seed, progress) for table in tables}
            _set_sequences(connection, product, tables)
    except psycopg.Error as error:
        raise _failed(product, "", error) from error
    _vacuum(product, url, tables)
    return done


def _empty(connection: "psycopg.Connection[Any]", product: Product, tables: Sequence[Rows]) -> None:
    """Only the owner may truncate."""
    names = sql.SQL(", ").join(map(sql.Identifier, _referring(connection, tables)))
    connection.execute(b"set local lock_timeout = '5s'")
    connection.execute(sql.SQL("set local role {}").format(sql.Identifier(product.owner_role)))
    connection.execute(sql.SQL("truncate {} restart identity").format(names))
    connection.execute(b"set local role none")
    reference = product.seed_file("reference")
    if reference.exists():
        connection.execute(reference.read_bytes())


def _copy(
    connection: "psycopg.Connection[Any]", product: Product, table: Rows, seed: int, progress: Progress
) -> Populated:
    """Fill one table; its own source of chance, so that a change to another table does not change its rows."""
    chance = Random(f"{seed} {table.table}")  # noqa: S311  # it has to be repeatable
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    statement = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(table.table), columns)
    began = time.monotonic()
    number = table.count  # none of them yet
    try:
        with connection.cursor().copy(statement) as copy:
            for number in range(table.count):
                if number % STEP == 0:
                    progress(table.table, number, table.count)
                copy.write_row(table.row(number, chance))
    except psycopg.Error as error:
        line = re.search(r", line (\d+)", error.diag.context or "")
        # Without a line it is a constraint that is checked at the end, or a value that could not be sent.
        refused = int(line[1]) - 1 if line else number if number < table.count - 1 else None
        where = table.table if refused is None else f"{table.table}, row {refused}"
        raise _failed(product, f"{where}: ", error) from error
    progress(table.table, table.count, table.count)
    return Populated(table.count, time.monotonic() - began)


def _set_sequences(connection: "psycopg.Connection[Any]", product: Product, tables: Sequence[Rows]) -> None:
    """Rows brought their numbers along: the next one from a sequence comes after them."""
    highest: dict[str, int] = {}
    for table in tables:
        for column, sequence in connection.execute(_SEQUENCES, [table.table]).fetchall():
            query = sql.SQL("select max({}) from {}").format(sql.Identifier(column), sql.Identifier(table.table))
            found = connection.execute(query).fetchone()
            if found and found[0] is not None:
                highest[sequence] = found[0]
    connection.execute(sql.SQL("set local role {}").format(sql.Identifier(product.owner_role)))
    for sequence, number in highest.items():
        connection.execute(b"select setval(%s::regclass, %s)", [sequence, number])


def _vacuum(product: Product, url: str, tables: Sequence[Rows]) -> None:
    """Statistics and visibility as autovacuum would bring them within minutes; new rows move into the GIN indexes."""
    names = sql.SQL(", ").join(sql.Identifier(table.table) for table in tables)
    try:
        with psycopg.connect(conninfo(url), autocommit=True) as connection:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(product.owner_role)))
            connection.execute(sql.SQL("vacuum (analyze) {}").format(names))
    except psycopg.Error as error:
        raise PopulateError(
            f"{product.name}: the rows are there, but not their statistics: {str(error).strip()}",
            advice="Autovacuum brings them within minutes; or run as the owner: VACUUM ANALYZE",
        ) from error


def _referring(connection: "psycopg.Connection[Any]", tables: Sequence[Rows]) -> list[str]:
    """The tables and all that refer to them, in alphabetical order."""
    found = connection.execute(_REFERRING, [[table.table for table in tables]]).fetchall()
    return [name for (name,) in found]


def _count(connection: "psycopg.Connection[Any]", table: str) -> int:
    found = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone()
    return int(found[0]) if found else 0


def _failed(product: Product, where: str, error: psycopg.Error) -> PopulateError:
    return PopulateError(
        f"{product.name}: {where}{str(error).strip()}\nNo row was kept and none removed. "
        f"Correct db/{product.name}/populate.py, or remove what prevents it, and run it again"
    )
