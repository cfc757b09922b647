"""A history one revision at a time: what the schema is at each, and which rows come through."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
from alembic import command
from alembic.script import Script, ScriptDirectory

from db import migrate
from db.rehearse import REPEATABLE
from environment.products import Product
from keel_host import catalogue
from tools.scratch_server import Server

Rows = dict[str, dict[str, list[Any]]]
"""Table → `column type` → the values of all rows."""

_COLUMNS = b"""
select relname, attname, format_type(atttypid, atttypmod)
from pg_class c join pg_attribute a on attrelid = c.oid
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and attnum > 0 and not attisdropped
"""
_FILES = "select relname::text, relfilenode from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
_TOO_EARLY = (  # for these rows: a table or column is still to come, or is not yet what they need
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidColumnReference,
    psycopg.errors.IntegrityError,
)


def revisions(product: Product) -> list[Script]:
    """From the first to head."""
    return [*ScriptDirectory.from_config(migrate.config(product)).walk_revisions()][::-1]


def up(product: Product, url: str) -> Iterator[str]:
    """Upgrade one revision at a time; gives the revision that was reached."""
    for revision in revisions(product):
        command.upgrade(migrate.config(product, url), "+1")
        assert migrate.current(product, url) == revision.revision
        yield revision.revision


def down(product: Product, url: str) -> Iterator[str | None]:
    """Downgrade one at a time, from head to nothing."""
    for revision in revisions(product)[::-1]:
        command.downgrade(migrate.config(product, url), "-1")
        below = migrate.current(product, url)
        assert below == revision.down_revision
        yield below


def schema(server: Server, product: Product) -> dict[str, str]:
    """What revisions make: tables, columns, constraints, indexes, types, sequences, views."""
    with server.connect(product.name) as connection:
        found = catalogue.read(connection)
    return {key: text for key, text in found.items() if not key.startswith(REPEATABLE)}


def rows(server: Server, product: Product) -> Rows:
    """All rows, as the superuser sees them."""
    with server.connect(product.name) as connection:
        columns: dict[str, list[tuple[str, str]]] = {}
        for table, column, kind in connection.execute(_COLUMNS).fetchall():
            columns.setdefault(table, []).append((column, kind))
        found: Rows = {}
        for table, listed in columns.items():
            read = connection.execute(f"select to_jsonb(t) from public.{table} t".encode())
            values = [row for (row,) in read.fetchall()]
            found[table] = {f"{column} {kind}": [row[column] for row in values] for column, kind in listed}
        return found


def lost(before: Rows, after: Rows) -> list[str]:
    """Rows that a step took away or changed, in tables and columns that are there on both sides.

    More rows are no loss: a downgrade may bring back what its upgrade had put elsewhere.
    """
    problems = []
    for table in sorted(before.keys() & after.keys()):
        shared = sorted(before[table].keys() & after[table].keys())
        gone = _rows(before[table], shared) - _rows(after[table], shared)
        if gone:
            changed = [one for one in shared if _rows(before[table], [one]) - _rows(after[table], [one])]
            problems.append(
                f"{table}: {gone.total()} rows are gone or changed, in {', '.join(changed) or 'several columns'}"
            )
    return problems


def count(found: Rows) -> dict[str, int]:
    """Rows of each table."""
    return {table: len(next(iter(columns.values()), [])) for table, columns in found.items()}


def rewritten(server: Server, product: Product, before: dict[str, int]) -> list[str]:
    """Tables that have another file than `before`: they were written anew, and closed to everybody meanwhile."""
    return [table for table, file in files(server, product).items() if before.get(table, file) != file]


def files(server: Server, product: Product) -> dict[str, int]:
    """Table → its file."""
    return dict(server.execute(_FILES, product.name))


class Seeds:
    """The demo rows, statement by statement, each inserted at the earliest revision that can hold it."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.left = [one for one in re.split(r"(?<=;)\n", product.seed_file("demo").read_text()) if one.strip()]

    def plant(self, server: Server) -> None:
        """Insert what can be inserted now, as the migrator."""
        with server.connect(self.product.name, self.product.migrator_role) as connection:
            self.left = [statement for statement in self.left if not _inserted(connection, statement)]


def _inserted(connection: "psycopg.Connection[Any]", statement: str) -> bool:
    try:
        with connection.transaction():
            connection.execute(statement.encode())
    except _TOO_EARLY:
        return False
    return True


def _rows(columns: dict[str, list[Any]], wanted: list[str]) -> Counter[str]:
    return Counter(repr(row) for row in zip(*(columns[column] for column in wanted), strict=True))
