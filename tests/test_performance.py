"""BA Copilot's queries on a hundredth of the large rows: `pytest tests/test_performance.py --benchmark-only`.

The figures for the large rows come from `make bench-databases`.
"""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import psycopg
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from db.filling import populate
from db.populate import Size
from db.queries import Query, queries, run, samples
from environment.products import Product, catalogue
from tests.db.fixtures import only
from tests.db.server import Server

product = only("bacopilot")

LIMIT = 0.1
"""Seconds that a typical query of the API may take (BAC-44)."""


@pytest.fixture(scope="module")
def application(server: Server, product: Product, at_head: str) -> "Iterator[psycopg.Connection[Any]]":
    """The application's session, among the rows of many users."""
    populate(product, at_head, Size.SMALL, seed=1, progress=lambda *_: None, replace=True)
    with server.connect(product.name, product.app_role) as connection:
        yield connection


@pytest.mark.parametrize("query", queries(catalogue()["bacopilot"]), ids=lambda query: query.name)
def test_a_query_is_fast(
    benchmark: BenchmarkFixture, server: Server, product: Product, application: "psycopg.Connection[Any]", query: Query
) -> None:
    """BAC-44, BAC-46: half of the runs take less than 100 ms, under row-level security and each for another user."""
    with server.connect(product.name, product.migrator_role) as migrator:
        given = cycle(samples(migrator, query))

    def once() -> None:
        run(application, query.sql, next(given)).fetchall()
        application.commit()

    benchmark(once)
    if benchmark.stats is not None:  # it ran once and was not timed: --benchmark-disable, or several processes
        assert benchmark.stats.stats.median < LIMIT


def test_log_in_is_fast(benchmark: BenchmarkFixture, application: "psycopg.Connection[Any]") -> None:
    """BAC-44, PLAT-18: a user by email, before the identity is known."""

    def once() -> int:
        found = application.execute(b"select user_id from auth.user_by_email('user17@keel.invalid')").fetchall()
        application.commit()
        return len(found)

    assert benchmark(once) == 1
    if benchmark.stats is not None:
        assert benchmark.stats.stats.median < LIMIT
