"""How long a product's migrations take, on empty tables and on filled ones (RIQ-27)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import psycopg
from alembic import command
from alembic.script import ScriptDirectory
from psycopg import sql

from db import migrate
from db.queries import queries, samples
from db.url import conninfo
from environment.products import Product
from ops.session import Session
from tools.bench_queries import Given, quick

ROUNDS = 3

Report = Callable[[str], None]

_TABLES = b"select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"


def history(product: Product) -> list[str]:
    """The product's revisions, newest first."""
    script = ScriptDirectory.from_config(migrate.config(product))
    return [known.revision for known in script.walk_revisions()]


def on_empty(product: Product, url: str) -> dict[str, float]:
    """Median seconds from nothing to head with policies and grants, and back. Every row is lost."""
    up, down = [], []
    for _ in range(ROUNDS):
        down.append(_seconds(command.downgrade, migrate.config(product, url), "base"))
        up.append(_seconds(migrate.upgrade, product, url))
    return {"revisions": len(history(product)), "up_s": statistics.median(up), "down_s": statistics.median(down)}


def on_filled(session: Session, product: Product, url: str, report: Report) -> list[dict[str, Any]]:
    """Each revision that finds rows in its tables: seconds down and up again, the queries' medians around it.

    From head down to the first revision that takes a filled table with it: its way up would meet an empty one.
    """
    with psycopg.connect(conninfo(url)) as migrator:
        given = {query: samples(migrator, query) for query in queries(product)}
    down: dict[str, float] = {}
    for revision in history(product):
        filled = _filled(url)
        down[revision] = _seconds(command.downgrade, migrate.config(product, url), "-1")
        report(f"{product.name}: {revision} down in {down[revision]:.2f} s")
        if filled - _filled(url):
            del down[revision]
            command.upgrade(migrate.config(product, url), revision)
            break
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


def _filled(url: str) -> set[str]:
    """The tables that have rows."""
    with psycopg.connect(conninfo(url)) as migrator:
        names = [name for (name,) in migrator.execute(_TABLES).fetchall()]
        some = sql.SQL("select exists (select from {})")
        return {name for name in names if migrator.execute(some.format(sql.Identifier(name))).fetchone() == (True,)}


def _seconds(work: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    work(*arguments)
    return round(time.perf_counter() - began, 3)
