"""BA Copilot's queries on the large rows of `./keel db populate`: `pytest tests/test_performance.py --benchmark-only` for figures.

Not in several processes: each would fill a database of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import psycopg
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from db.load_rows import populate
from db.populate import Size
from db.queries import IDENTITY, Query, act_for, queries, run, samples
from environment.products import Product, catalogue
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("bacopilot")

LIMIT = 0.1
"""Seconds that a typical query of the API may take (BAC-44)."""
NO_PARENT = 0.005
"""Seconds of a count of all that a user has in a table, among a million rows of others (W6)."""
RUNS = 100
ROUNDS = 3
"""A machine that is busy with something else only adds to what a query takes: the quietest round counts."""


@pytest.fixture(scope="module")
def application(server: Server, product: Product, at_head: str) -> Iterator[psycopg.Connection[Any]]:
    """The application's session, among a million messages of ten thousand users."""
    made = populate(product, at_head, Size.LARGE, seed=1, progress=lambda *_: None, replace=True)
    assert (made["users"].rows, made["messages"].rows) == (10_000, 1_000_000)
    with server.connect(product.name, product.app_role) as connection:
        yield connection


def p95(once: Callable[[], object]) -> float:
    """Seconds that 95 of a hundred runs stay below, in the quietest of some rounds that begin until one is below LIMIT."""
    best = float("inf")
    for _ in range(ROUNDS):
        took = []
        for _ in range(RUNS):
            began = time.perf_counter()
            once()
            took.append(time.perf_counter() - began)
        best = min(best, statistics.quantiles(took, n=100, method="inclusive")[94])
        if best < LIMIT:
            break
    return best


@pytest.mark.parametrize("query", queries(catalogue()["bacopilot"]), ids=lambda query: query.name)
def test_a_query_is_fast(
    benchmark: BenchmarkFixture, server: Server, product: Product, application: psycopg.Connection[Any], query: Query
) -> None:
    """BAC-44, BAC-46: 95 of 100 runs take less than 100 ms, under row-level security and each for another user."""
    with server.connect(product.name, product.migrator_role) as migrator:
        given = cycle(samples(migrator, query))

    def once() -> None:
        run(application, query.sql, next(given)).fetchall()
        application.commit()

    benchmark.pedantic(once, rounds=RUNS)
    assert p95(once) < LIMIT


@pytest.mark.parametrize("table", catalogue()["bacopilot"].tenant_tables)
def test_a_query_without_a_parent_is_fast(
    server: Server, product: Product, application: psycopg.Connection[Any], table: str
) -> None:
    """BAC-44, PLAT-16, W6: half of a hundred users have their rows of a table counted within 5 ms, whoever owns the rest."""
    with server.connect(product.name, product.migrator_role) as migrator:
        given = migrator.execute(b"select user_id as identity from users order by md5(user_id::text) limit 100")
        users = [{IDENTITY: user} for (user,) in given]

    def took(user: dict[str, Any]) -> float:
        act_for(application, user)
        began = time.perf_counter()
        application.execute(f"select count(*) from {table}".encode())
        taken = time.perf_counter() - began
        application.commit()
        return taken

    assert min(statistics.median(map(took, users)) for _ in range(ROUNDS)) < NO_PARENT


def test_log_in_is_fast(benchmark: BenchmarkFixture, application: psycopg.Connection[Any]) -> None:
    """BAC-44, PLAT-18: a user by email, before the identity is known."""

    def once() -> int:
        found = application.execute(b"select user_id from auth.user_by_email('user17@keel.invalid')").fetchall()
        application.commit()
        return len(found)

    assert benchmark.pedantic(once, rounds=RUNS) == 1
    assert p95(once) < LIMIT


def test_a_slow_query_is_noticed(application: psycopg.Connection[Any]) -> None:
    """BAC-44: the measure itself, on a query that is slow every time in a hundred of them seven."""
    took = cycle([LIMIT * 1.05 if number < 7 else 0.0 for number in range(RUNS)])

    def once() -> None:
        application.execute(b"select pg_sleep(%s)", [next(took)])

    assert p95(once) > LIMIT
