"""Prepared statements through transaction pooling, where the next transaction may meet another server connection."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack

from environment.manifest import ProductEntry
from tests.verify.pooler import Pooler

STATEMENT = "select pg_backend_pid(), "
ROUNDS = 5
"""Until a second server connection is met."""


def test_psycopg(pooler: Pooler, product: ProductEntry) -> None:
    """PLAT-23: a statement that psycopg prepared once runs on every server connection it meets."""
    role, database = product.product.app_role, product.product.name
    with ExitStack() as stack:
        client = stack.enter_context(pooler.connect(role, database, prepare_threshold=0))
        met = set()
        for number in range(ROUNDS):
            row = client.execute(STATEMENT + "%s::int", [number]).fetchone()
            client.commit()
            assert row and row[1] == number
            met.add(row[0])
            if len(met) > 1:
                break
            # Somebody else takes the server connection just used, and keeps it.
            stack.enter_context(pooler.connect(role, database)).execute("select 1")
        prepared = client.execute("select name from pg_prepared_statements").fetchall()
    assert len(met) > 1, f"the pool gave one server connection only: {met}"
    assert prepared, "psycopg prepared nothing"


def test_asyncpg(pooler: Pooler, product: ProductEntry) -> None:
    """PLAT-23: the same with asyncpg and its statement cache as it is by default."""
    met = asyncio.run(_meet(pooler, product.product.app_role, product.product.name))
    assert len(met) > 1, f"the pool gave one server connection only: {met}"


async def _meet(pooler: Pooler, role: str, database: str) -> set[int]:
    async with AsyncExitStack() as stack:
        client = await pooler.connect_async(role, database)
        stack.push_async_callback(client.close)
        statement = await client.prepare(STATEMENT + "$1::int")
        met = set()
        for number in range(ROUNDS):
            row = await statement.fetchrow(number)
            assert row and row[1] == number
            met.add(row[0])
            if len(met) > 1:
                break
            other = await pooler.connect_async(role, database)
            stack.push_async_callback(other.close)
            await other.execute("begin; select 1")
        return met
