"""A statement that names no owner and no parent visits the rows of its tenant, whichever table it is about."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from db.queries import IDENTITY, act_for, plan_nodes
from environment.products import Product, catalogue
from tests.rls.rows import rows
from tools.scratch_server import Server

TABLES = [(name, table) for name, product in catalogue().items() for table in product.tenant_tables]
TENANTS = 5
"""How many are asked for; of all that have rows in the table, in an order of their own."""


@pytest.fixture(scope="module", params=dict.fromkeys(name for name, _ in TABLES))
def product(request: pytest.FixtureRequest) -> Product:
    """Every product whose rows belong to users."""
    return catalogue()[request.param]


def test_a_tenants_statement_visits_a_tenants_rows(
    server: Server, product: Product, application: psycopg.Connection[Any]
) -> None:
    """BAC-44, PLAT-16, W6: of each table, to read and to change, as many rows as are one's own and no table whole."""
    with server.connect(product.name, product.migrator_role) as migrator:
        users = migrator.execute(_users(product)).fetchall()
    wrong = {}
    for table, row in rows(product).items():
        counts = {user: _own(application, user, table) for (user,) in users}
        asked = [(user, own) for user, own in counts.items() if own][:TENANTS]
        assert asked, f"{table}: no tenant has a row"
        statements = [f"select * from {table}"]
        if product.tables[table].writes:
            statements.append(f"update {table} set {row.change}")
        for statement in statements:
            for user, own in asked:
                whole, visited = _visited(application, user, table, statement)
                if whole or visited != own:
                    wrong[statement, user] = (
                        f"{visited} rows are visited, {own} are the tenant's{', read whole' * whole}"
                    )
    assert wrong == {}


def _users(product: Product) -> bytes:
    """The identities there are: those of the table that all others hang on."""
    root, row = next(iter(rows(product).items()))
    return f"select {row.key} from {root} order by md5({row.key}::text) limit 50".encode()


def _own(application: psycopg.Connection[Any], user: Any, table: str) -> int:
    act_for(application, {IDENTITY: user})
    (own,) = application.execute(f"select count(*) from {table}".encode()).fetchone() or (0,)
    application.rollback()
    return int(own)


def _visited(application: psycopg.Connection[Any], user: Any, table: str, statement: str) -> tuple[bool, int]:
    """Whether the table is read whole, and how many of its rows are looked at, those that a filter removes included."""
    act_for(application, {IDENTITY: user})
    (plan,) = application.execute(f"explain (analyze, format json) {statement}".encode()).fetchone() or (None,)
    application.rollback()
    (found,) = plan if isinstance(plan, list) else json.loads(str(plan))
    scans = [
        node
        for node in plan_nodes(found["Plan"])
        if node.get("Relation Name") == table and node["Node Type"] != "ModifyTable"
    ]
    counted = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    rows_of = sum(node.get(name, 0) for node in scans for name in counted)
    return any(node["Node Type"] == "Seq Scan" for node in scans), round(rows_of)
