"""What the planner makes of the products' critical queries on a tenth of their documents' rows, prepared as programs send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from db.queries import Query, act_for, plan_nodes, queries, run, samples
from environment.products import Product, catalogue
from tools.scratch_server import Server

MANY = 10
"""Executions of a prepared statement: after five PostgreSQL weighs one plan for all parameters against a new one each time."""


@pytest.fixture(scope="module", params=["ruleiq", "ai_assistant"])
def product(request: pytest.FixtureRequest) -> Product:
    """Those whose documents ask for plans of named queries."""
    return catalogue()[request.param]


def test_the_planner_chooses_the_named_indexes(
    server: Server, product: Product, application: psycopg.Connection[Any]
) -> None:
    """RIQ-33, ADA-42: EXPLAIN ANALYZE of each query, with the planner's own settings, reads no table whole and has a named index.

    For most parameters: for a tenant with few profiles the planner joins from there, by the index of the foreign key.
    """
    with server.connect(product.name, product.migrator_role) as migrator:
        given = {query: samples(migrator, query)[:MANY] for query in queries(product)}
    others: dict[str, list[list[str]]] = {}
    for query, parameters in given.items():
        plans = [_analyzed(application, query, each) for each in parameters]
        read_whole = {node["Relation Name"] for plan in plans for node in plan if node["Node Type"] == "Seq Scan"}
        assert read_whole == set(), query.name
        used = [{node["Index Name"] for node in plan if "Index Name" in node} for plan in plans]
        without = [sorted(found) for found in used if not found & set(query.indexes)]
        if len(without) > len(plans) / 2:
            others[query.name] = without
    assert others == {}


def _analyzed(
    application: psycopg.Connection[Any], query: Query, parameters: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The nodes of the plan that was executed."""
    found = run(application, f"explain (analyze, format json) {query.sql}", parameters).fetchone()
    application.rollback()
    assert found, query.name
    nodes = list(plan_nodes(found[0][0]["Plan"]))
    assert all("Actual Total Time" in node for node in nodes), query.name
    return nodes


def test_a_query_can_be_prepared(server: Server, product: Product, application: psycopg.Connection[Any]) -> None:
    """ADA-42: prepared once, executed for one tenant after the other, it finds what it finds unprepared."""
    with server.connect(product.name, product.migrator_role) as migrator:
        given = {query: samples(migrator, query)[:MANY] for query in queries(product)}
    newest = (
        b"select generic_plans + custom_plans from pg_prepared_statements where statement not like '%set_config%'"
        b" order by prepare_time desc limit 1"
    )
    for query, parameters in given.items():
        found: dict[bool, list[list[Any]]] = {False: [], True: []}
        for each in parameters:
            for prepare, rows in found.items():
                act_for(application, each)
                rows.append(application.execute(query.sql.encode(), each, prepare=prepare).fetchall())
                application.commit()
        for unprepared, prepared in zip(found[False], found[True], strict=True):
            assert sorted(map(repr, prepared)) == sorted(map(repr, unprepared)), query.name
        assert application.execute(newest, prepare=False).fetchone() == (len(parameters),), query.name
        application.commit()
