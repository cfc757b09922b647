"""How long a product's migrations take, on empty tables and on filled ones (RIQ-27)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import takewhile
from typing import Any

import psycopg
from alembic import command
from alembic.script import ScriptDirectory
from psycopg import sql

from db import migrate
from db.queries import queries, samples
from db.url import conninfo
from environment.products import Product
from environment.report import Report
from ops.hosts.session import Session
from tests.bench.queries import Given, quick

ROUNDS = 3

STAY = 0.9
"""Share of the rows below which it is no longer the same database that is measured."""


_TABLES = b"select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"


def history(product: Product) -> list[str]:
    """The product's revisions, newest first."""
    script = ScriptDirectory.from_config(migrate.config(product))
    return [known.revision for known in script.walk_revisions()]


def staying(product: Product, url: str) -> dict[str, set[str]]:
    """Revision → the tables that are still there when it has been undone, newest first. Every row is lost."""
    left = {}
    for revision in history(product):
        command.downgrade(migrate.config(product, url), "-1")
        left[revision] = _tables(url)
    migrate.upgrade(product, url)
    return left


def on_empty(product: Product, url: str) -> dict[str, float]:
    """Median seconds from nothing to head with policies and grants, and back. Every row is lost."""
    up, down = [], []
    for _ in range(ROUNDS):
        down.append(_seconds(command.downgrade, migrate.config(product, url), "base"))
        up.append(_seconds(migrate.upgrade, product, url))
    return {"revisions": len(history(product)), "up_s": statistics.median(up), "down_s": statistics.median(down)}


def on_filled(
    session: Session, product: Product, url: str, left: dict[str, set[str]], report: Report
) -> list[dict[str, Any]]:
    """Each revision that finds rows in its tables: seconds down and up again, the queries' medians around it.

    From head down as long as nearly all rows stay: a table that a revision takes with it comes back empty.
    """
    with psycopg.connect(conninfo(url)) as migrator:
        given = {query: samples(migrator, query) for query in queries(product)}
        count = sql.SQL("select count(*) from {}")
        rows = {name: migrator.execute(count.format(sql.Identifier(name))).fetchall()[0][0] for name in _tables(url)}
    down: dict[str, float] = {}
    for revision in takewhile(
        lambda one: sum(rows.get(name, 0) for name in left[one]) >= STAY * sum(rows.values()), left
    ):
        down[revision] = _seconds(command.downgrade, migrate.config(product, url), "-1")
        report(f"{product.name}: {revision} down in {down[revision]:.2f} s")
    return _up_again(session, product, url, down, given, report)


def _up_again(
    session: Session, product: Product, url: str, down: dict[str, float], given: Given, report: Report
) -> list[dict[str, Any]]:
    measured = []
    timings = quick(session, product, given)
    for revision in reversed(down):
        up = _seconds(command.upgrade, migrate.config(product, url), revision)
        report(f"{product.name}: {revision} up in {up:.2f} s")
        before, timings = timings, quick(session, product, given)
        measured.append(
            {"revision": revision, "up_s": up, "down_s": down[revision], "before_ms": before, "after_ms": timings}
        )
    return measured


def _tables(url: str) -> set[str]:
    with psycopg.connect(conninfo(url)) as migrator:
        return {name for (name,) in migrator.execute(_TABLES).fetchall()}


def _seconds(work: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    work(*arguments)
    return round(time.perf_counter() - began, 3)
