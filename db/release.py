"""The release gate: no production while a column still has the name that a tool once cut off (RIQ-26, PLAT-13)."""

from typing import Any

import psycopg

from environment.errors import KeelError
from environment.products import Product


class ReleaseRefused(KeelError):
    """The database is not fit for production: which names, what was left as it was, what to do."""


_COLUMNS = b"""
select relname, attname from pg_class c join pg_attribute on attrelid = c.oid
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'f') and attnum > 0 and not attisdropped
order by 1, 2
"""
"""From the catalogue: information_schema shows only what one may read."""


def truncated(product: Product, connection: "psycopg.Connection[Any]") -> list[str]:
    """A sentence for each column that still has its truncated name."""
    return [
        f"column {table}.{column} is truncated, its name is {product.renamed[table][column]}"
        for table, column in connection.execute(_COLUMNS).fetchall()
        if column in product.renamed.get(table, {})
    ]


def admit(product: Product, connection: "psycopg.Connection[Any]") -> None:
    """Raise ReleaseRefused while there is such a column."""
    if found := truncated(product, connection):
        raise ReleaseRefused(
            f"{product.name} is not released to production (RIQ-26): {len(found)} name(s) are truncated\n"
            + "\n".join(f"- {sentence}" for sentence in found),
            "The database keeps its revision and its rows, the application is not admitted",
            f"Upgrade it: take products.{product.name}.revision out of the stack file, or set it to a revision that has the names",
        )
