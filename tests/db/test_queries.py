"""The products' own queries, as the application runs them, on populated rows."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from db.filling import populate
from db.populate import Size
from db.queries import IDENTITY, Query, queries, run, samples, used_indexes
from environment.products import Product, catalogue
from tests.db.server import Server


@pytest.fixture(scope="module", params=[name for name, product in catalogue().items() if queries(product)])
def product(request: pytest.FixtureRequest) -> Product:
    """Every product whose queries are known."""
    return catalogue()[request.param]


@pytest.fixture(scope="module")
def application(server: Server, product: Product, at_head: str) -> "Iterator[psycopg.Connection[Any]]":
    """The application, with rows of all tenants to be kept from it."""
    populate(product, at_head, Size.SMALL, seed=1, progress=lambda *_: None, replace=True)
    with server.connect(product.name, product.app_role) as connection:
        # A hundredth of the rows: without this the planner would rightly read small tables whole.
        connection.execute(b"set enable_seqscan = off")
        connection.commit()
        yield connection


def test_the_queries_find_their_rows_by_their_indexes(
    server: Server, product: Product, application: "psycopg.Connection[Any]"
) -> None:
    """BAC-44, RIQ-33, CF-35, ADA-42: each finds something for its tenant, and its plan has an index named for it."""
    wrong: dict[str, str] = {}
    with server.connect(product.name, product.migrator_role) as migrator:
        for query in queries(product):
            said = _wrong(product, query, samples(migrator, query)[:20], application)
            wrong |= {query.name: said} if said else {}
    assert wrong == {}


def _wrong(
    product: Product, query: Query, given: list[dict[str, Any]], application: "psycopg.Connection[Any]"
) -> str | None:
    if not given:
        return "no parameters were found among the rows"
    if product.identity_type and IDENTITY not in given[0]:
        return f"its parameters have no {IDENTITY}"
    found = 0
    for parameters in given:
        found += len(run(application, query.sql, parameters).fetchall())
        application.commit()
    used = used_indexes(application, query, given[0])
    application.rollback()
    if not found:
        return "no row for any of its parameters"
    return None if used & set(query.indexes) else f"the plan uses {sorted(used)}, none of {list(query.indexes)}"
