"""Two tenants with a row in every table, in a transaction that never commits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from environment.products import Product
from tests.rls.rows import Row, rows

Connection = psycopg.Connection[Any]


@dataclass
class Tenant:
    """Who, and the keys of the rows by table."""

    identity: str
    keys: dict[str, Any] = field(default_factory=dict)
    copies: dict[str, Any] = field(default_factory=dict)
    """Each row as JSON."""


@dataclass
class Tenants:
    """The session of the application, and both tenants."""

    connection: Connection
    product: Product
    rows: dict[str, Row]
    ada: Tenant
    grace: Tenant

    def pairs(self) -> tuple[tuple[Tenant, Tenant], tuple[Tenant, Tenant]]:
        """Each as the one who asks, with the other."""
        return (self.ada, self.grace), (self.grace, self.ada)

    def become(self, identity: str | None) -> None:
        """Set the identity for the rest of the transaction; None: as it is after RESET."""
        if identity is None:
            self.connection.execute("reset app.current_user_id")
        else:
            self.connection.execute("select set_config('app.current_user_id', %s, true)", [identity])

    def count(self, table: str, key: Any = None) -> int:
        """How many rows, or whether the row with this key, the present identity sees."""
        query = sql.SQL("select count(*) from {}").format(sql.Identifier(table))
        if key is not None:
            query += sql.SQL(" where {} = %s").format(sql.Identifier(self.rows[table].key))
        row = self.connection.execute(query, None if key is None else [key]).fetchone()
        assert row
        return int(row[0])


@contextmanager
def tenants(connection: Connection, product: Product) -> Iterator[Tenants]:
    """Register both and make their rows as the application does; rolled back in the end."""
    made = Tenants(connection, product, rows(product), Tenant(""), Tenant(""))
    root, *others = made.rows
    try:
        for tenant in (made.ada, made.grace):
            tag = f"keel-{uuid4().hex}"
            made.become("")
            tenant.keys[root] = _one(connection, made.rows[root].insert, {"tag": tag})
            tenant.identity = str(tenant.keys[root])
            made.become(tenant.identity)
            for table in others:
                values = {"identity": tenant.identity, "tag": tag, **tenant.keys}
                tenant.keys[table] = _one(connection, made.rows[table].insert, values)
            for table, row in made.rows.items():
                query = sql.SQL("select to_jsonb(t)::text from {} t where {} = {}").format(
                    sql.Identifier(table), sql.Identifier(row.key), sql.Literal(tenant.keys[table])
                )
                tenant.copies[table] = _one(connection, query, {})
        yield made
    finally:
        connection.rollback()


def _one(connection: Connection, query: str | sql.Composed, values: dict[str, Any]) -> Any:
    statements = [part.encode() for part in query.split("; ")] if isinstance(query, str) else [query]
    for statement in statements:
        cursor = connection.execute(statement, values or None)
    row = cursor.fetchone()
    assert row and row[0] is not None, f"{query} gave {row}"
    return row[0]
