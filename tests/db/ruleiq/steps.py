"""Going to a revision, and what is there then."""

from collections.abc import Callable
from typing import Any

from alembic import command

from db import migrate
from environment.products import Product
from tools.scratch_server import Server

Rows = dict[str, list[Any]]
Query = Callable[[str], list[Any]]


def at(product: Product, url: str, revision: str) -> None:
    """Upgrade to a revision."""
    migrate.upgrade(product, url, target=revision)


def back(product: Product, url: str, revision: str) -> None:
    """Downgrade to one."""
    command.downgrade(migrate.config(product, url), revision)


def columns(server: Server, product: Product, table: str) -> set[str]:
    """A table's columns."""
    query = f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
    return {name for (name,) in server.execute(query, product.name)}


def contents(server: Server, product: Product) -> Rows:
    """Every row of the product, as text, by table."""
    return {
        table: server.execute(f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY id::text", product.name)
        for table in product.tables
    }
