"""BA Copilot's history with rows in it: down and up again, one revision at a time."""

import json
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from db import migrate, repeatable
from environment.products import Product
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("bacopilot")

Contents = dict[str, list[dict[str, Any]]]
"""Table → rows as column → value."""

CHANGE = {
    "users": "full_name = full_name || '!'",
    "documents": "content = content || '!'",
    "document_versions": "content = content || '!'",
    "messages": "content = content || '!'",
}
"""What fires every trigger of a table; the others have a title."""


def tables(server: Server, product: Product) -> list[str]:
    """Those of the revision the database is at."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    return [name for (name,) in server.execute(query, product.name)]


def contents(server: Server, product: Product) -> Contents:
    """Every row there is."""
    return {
        table: [row for (row,) in server.execute(f"SELECT to_jsonb(t) FROM {table} t", product.name)]
        for table in tables(server, product)
    }


def shared(mine: Contents, other: Contents) -> dict[str, list[str]]:
    """My rows, as far as the other has their tables and columns."""
    return {
        table: sorted(
            json.dumps({name: row[name] for name in sorted(row.keys() & other[table][0].keys())}) for row in rows
        )
        for table, rows in mine.items()
        if other.get(table)
    }


def add_rows(server: Server, product: Product) -> None:
    """The demo rows of the tables there are at this revision."""
    there = set(tables(server, product))
    for statement in product.seed_file("demo").read_text().split(";\n\n"):
        if statement.split("insert into ")[1].split()[0] in there:
            server.execute(statement, product.name)


@pytest.fixture
def filled(server: Server, product: Product, fresh: str) -> str:
    """A database at head with the demo rows, from which all of the history is still to be gone through."""
    add_rows(server, product)
    return fresh


def test_rows_live_through_every_step_down_and_up(server: Server, product: Product, filled: str) -> None:
    """PLAT-27: a step takes its own tables and columns and nothing else, and what is left can still be changed."""
    config = migrate.config(product, filled)
    down = [revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()]
    assert len(down) == 11
    steps = [(command.downgrade, target) for target in (*down[1:], "base")]
    steps += [(command.upgrade, target) for target in reversed(down)]
    for step, target in steps:
        before = contents(server, product)
        step(config, target)
        after = contents(server, product)
        assert shared(before, after) == shared(after, before), target
        for table in after:
            change = CHANGE.get(table, "title = title || '!'")
            server.execute(f"BEGIN; UPDATE {table} SET {change}; ROLLBACK", product.name)
        if step is command.upgrade:
            add_rows(server, product)
        elif target == "base":
            assert after == {}
    assert set(contents(server, product)) == set(product.tables)
    assert migrate.differences(product, filled) == []
    assert repeatable.drift(product, filled) == []


def test_the_column_of_messages_costs_no_rewrite(server: Server, product: Product, filled: str) -> None:
    """X-26: updated_at comes without touching a row of the largest table, and every message has a value."""
    config = migrate.config(product, filled)
    command.downgrade(config, "20260112_1040")
    file = "SELECT pg_relation_filenode('messages')"
    before = server.execute(file, product.name)
    command.upgrade(config, "20260209_1530")
    assert server.execute(file, product.name) == before
    assert server.execute("SELECT count(*) FROM messages WHERE updated_at IS NULL", product.name) == [(0,)]


def test_an_invalid_leftover_is_built_anew(server: Server, product: Product, filled: str) -> None:
    """X-27: what a killed CREATE INDEX CONCURRENTLY leaves behind stands in nobody's way."""
    command.downgrade(migrate.config(product, filled), "20260112_1020")
    with server.connect(product.name) as connection:
        connection.execute(b"SET LOCAL allow_system_table_mods = on")
        connection.execute(b"CREATE INDEX idx_messages_metadata ON messages (message_id)")
        connection.execute(
            b"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_messages_metadata'::regclass"
        )
    migrate.upgrade(product, filled)
    assert migrate.differences(product, filled) == []
