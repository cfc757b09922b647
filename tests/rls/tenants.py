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

    @property
    def identities(self) -> tuple[str, str]:
        """Of both."""
        return self.ada.identity, self.grace.identity

    def become(self, identity: str | None) -> None:
        """Set the identity for the rest of the transaction; None: as it is after RESET."""
        if identity is None:
            self.connection.execute("reset app.current_user_id")
        else:
            self.connection.execute("select set_config('app.current_user_id', %s, true)", [identity])


@contextmanager
def tenants(connection: Connection, product: Product, *, insert: str | None = None) -> Iterator[Tenants]:
    """Register both and make their rows as the application does; rolled back in the end. ``insert`` makes the user of a role
    that registers nobody, when the identity is chosen already."""
    made = Tenants(connection, product, rows(product), Tenant(""), Tenant(""))
    root, *others = made.rows
    try:
        for tenant in (made.ada, made.grace):
            tag = f"keel-{uuid4().hex}"
            made.become(str(uuid4()) if insert else "")
            tenant.keys[root] = _one(connection, insert or made.rows[root].insert, {"tag": tag})
            tenant.identity = str(tenant.keys[root])
            made.become(tenant.identity)
            for table in others:
                values = {"identity": tenant.identity, "tag": tag, **tenant.keys}
                tenant.keys[table] = _one(connection, made.rows[table].insert, values)
            tenant.copies = _copies(made, tenant)
        yield made
    finally:
        connection.rollback()


def _copies(made: Tenants, tenant: Tenant) -> dict[str, Any]:
    query = sql.SQL(" union all ").join(
        sql.SQL("select {}, to_jsonb(t)::text from {} t where {} = {}").format(
            sql.Literal(table), sql.Identifier(table), sql.Identifier(row.key), sql.Literal(tenant.keys[table])
        )
        for table, row in made.rows.items()
    )
    copies = dict(made.connection.execute(query).fetchall())
    assert copies.keys() == made.rows.keys(), f"{tenant.identity} does not see {made.rows.keys() - copies.keys()}"
    return copies


def _one(connection: Connection, query: str, values: dict[str, Any]) -> Any:
    for statement in query.split("; "):
        cursor = connection.execute(statement.encode(), values)
    row = cursor.fetchone()
    assert row and row[0] is not None, f"{query} gave {row}"
    return row[0]
