"""How long a product's queries take on the rows that are there, and what row-level security costs them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import psycopg

from db.queries import Query, act_for, queries, samples, used_indexes
from db.url import conninfo
from environment.products import Product
from environment.urls import product_urls
from ops.hosts.session import Session

EXECUTIONS = 300
"""Of each query and way. Parameters come round again after about a hundred."""

QUICK = 50
"""Of each query between two migrations."""

Connection = psycopg.Connection[Any]
Parameters = Mapping[str, Any]
Given = Mapping[Query, Sequence[Parameters]]
"""What to run each query with."""


@dataclass(frozen=True)
class Ways:
    """Sessions with one product's database."""

    pooled: Connection
    """The application's, through PgBouncer, as in production."""
    direct: Connection
    """The application's, past the pooler, to compare with:"""
    migrator: Connection
    """who passes row-level security and is not admitted to the pooler (PLAT-19)."""


@contextmanager
def ways(session: Session, product: Product) -> Iterator[Ways]:
    """Open them all, to the primary."""
    pooled = product_urls(session.manifest, session.roots, product)["application"]
    with session.direct() as (address, port):
        direct = session.url(product.app_role, product.name, address, port)
        migrator = session.url(product.migrator_role, product.name, address, port)
        with (
            psycopg.connect(conninfo(pooled)) as first,
            psycopg.connect(conninfo(direct)) as second,
            psycopg.connect(conninfo(migrator)) as third,
        ):
            yield Ways(first, second, third)


def measure(product: Product, opened: Ways) -> list[dict[str, Any]]:
    """Every query of the product: milliseconds, indexes of its plans, cost of row-level security."""
    measured = []
    for query in queries(product):
        given = samples(opened.migrator, query)
        opened.migrator.rollback()
        whole, alone, rows = _through_the_pooler(opened.pooled, query, given)
        measured.append(
            {
                "query": query.name,
                "requirement": query.requirement,
                "executions": EXECUTIONS,
                "rows": statistics.median(rows),
                "transaction_ms": percentiles(whole),
                "query_ms": percentiles(alone),
                "indexes": _indexes(opened.pooled, query, given[:10]),
                "rls": _paired(opened, query, given) if product.identity_type else None,
            }
        )
    return measured


def quick(session: Session, product: Product, given: Given) -> dict[str, float | str]:
    """Query → median in milliseconds, or why there is none at the revision the database is at (RIQ-27).

    Without prepared statements: a plan from before the migration may not return its new columns.
    """
    found: dict[str, float | str] = {}
    with ways(session, product) as opened:
        opened.pooled.prepare_threshold = None
        for query, parameters in given.items():
            try:
                timed = [_timed(opened.pooled, query.sql, each) for each in islice(cycle(parameters), QUICK)]
                median = _ms(statistics.median(seconds for seconds, _ in timed))
                found[query.name] = median if any(rows for _, rows in timed) else "finds nothing"
            except psycopg.Error as error:
                found[query.name] = str(error).splitlines()[0]
            opened.pooled.rollback()
    return found


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """The milliseconds that half, 95 and 99 of a hundred executions stayed below."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50": _ms(cuts[49]), "p95": _ms(cuts[94]), "p99": _ms(cuts[98])}


def _through_the_pooler(
    pooled: Connection, query: Query, given: Sequence[Parameters]
) -> tuple[list[float], list[float], list[int]]:
    """Seconds of whole transactions, identity set and committed, of the queries in them, and numbers of rows."""
    whole, alone, rows = [], [], []
    for parameters in islice(cycle(given), EXECUTIONS):
        began = time.perf_counter()
        seconds, found = _timed(pooled, query.sql, parameters)
        pooled.commit()
        whole.append(time.perf_counter() - began)
        alone.append(seconds)
        rows.append(len(found))
    return whole, alone, rows


def _paired(opened: Ways, query: Query, given: Sequence[Parameters]) -> dict[str, Any]:
    """The same query with and without row-level security in turns, so that both meet the same machine.

    Without, it has to find the same rows, or it answers another question and nothing can be compared.
    """
    statements = (opened.direct, query.sql), (opened.migrator, query.unrestricted or query.sql)
    seconds: tuple[list[float], list[float]] = ([], [])
    for number, parameters in enumerate(islice(cycle(given), EXECUTIONS)):
        answers = {}
        for side in (0, 1) if number % 2 else (1, 0):  # who comes second finds the pages in memory
            connection, statement = statements[side]
            taken, rows = _timed(connection, statement, parameters)
            connection.commit()
            seconds[side].append(taken)
            answers[side] = sorted(map(repr, rows))
        if answers[0] != answers[1]:
            return {"comparable": False}
    with_rls, without = map(statistics.median, seconds)
    return {
        "comparable": True,
        "with_ms": _ms(with_rls),
        "without_ms": _ms(without),
        "overhead": with_rls / without - 1,
    }


def _timed(connection: Connection, statement: str, parameters: Parameters) -> tuple[float, list[Any]]:
    """Seconds of the statement alone, to its last row; the transaction stays open."""
    act_for(connection, parameters)
    began = time.perf_counter()
    rows = connection.execute(statement.encode(), parameters).fetchall()
    return time.perf_counter() - began, rows


def _indexes(application: Connection, query: Query, given: Sequence[Parameters]) -> list[str]:
    found: set[str] = set()
    for parameters in given:
        found |= used_indexes(application, query, parameters)
        application.rollback()
    return sorted(found)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
