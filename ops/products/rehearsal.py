"""What a change does to a product's database, tried on throwaway databases: its migrations, its tenants, its queries."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from db import compare, queries, rehearse
from db.url import conninfo
from environment.errors import KeelError
from environment.products import ROOT, Product
from environment.report import Report
from ops.hosts.session import Session
from ops.products import scratch
from ops.products.base import Base, Fill, fill

FEW, MANY = "small", "medium"
"""How many made-up rows: enough that a migration meets some; enough that the planner chooses indexes."""


class NotTried(KeelError):
    """The matrix of two tenants did not run: of which product, why."""


def changed(session: Session, base: Base) -> list[str]:
    """The products of the environment of which a file differs from ``base``."""
    return [name for name in session.manifest.products if base.differs(name)]


def rehearsed(session: Session, name: str, base: Base, report: Report) -> rehearse.Rehearsal:
    """The way up, down and up again of what this checkout adds to ``base``. Raises as `scratch.copied`, NotMade or MigrationError."""
    product = scratch.copied(session, name)
    with scratch.bare(session, name) as database, session.direct() as (address, port):
        url = session.url(product.migrator_role, database, address, port)
        if base.has(name):
            report(f"{name}: as the base has it, with rows")
            fill(Fill(base.folder, name, url), FEW)
        return rehearse.rehearse(product, url, report)


def two_tenants(session: Session, name: str, report: Report) -> list[str] | None:
    """What a tenant can do with another's rows and should not, on a copy and as the application; None for a product without
    tenants. Raises as `scratch.copied`, MigrationError or NotTried."""
    product = scratch.copied(session, name)
    if not product.identity_type:
        return None
    with scratch.copy(session, name, report) as database, session.direct() as (address, port):
        report(f"{name}: two tenants")
        logins = {"application": product.app_role, "worker": product.worker_role}
        given = {login: session.url(role, database, address, port) for login, role in logins.items() if role}
        return _matrix(name, given)


def _matrix(name: str, urls: dict[str, str]) -> list[str]:
    """The matrix is the tests' own and runs as a program of theirs, as the verification does."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.rls"], cwd=ROOT, capture_output=True, text=True,
        input=json.dumps({"product": name, **urls}),
    )  # fmt: skip
    if done.returncode:
        raise NotTried(f"{name}: the matrix of two tenants did not run: {done.stderr.strip()[-3000:]}")
    found: list[str] = json.loads(done.stdout)
    return found


def compared(
    session: Session, name: str, base: Base, report: Report, *, ratio: float, floor: float
) -> list[compare.Compared]:
    """The queries of this checkout on its own database and on that of ``base``, both with rows; none where the base has no such
    product, or the checkout no query of it. Raises as `scratch.copied`, NotMade or QueryFailed."""
    product = scratch.copied(session, name)
    asked = queries.queries(product)
    if not base.has(name) or not asked:
        return []
    with ExitStack() as stack:
        databases = [stack.enter_context(scratch.bare(session, name)) for _ in range(2)]
        address, port = stack.enter_context(session.direct())
        urls = [session.url(product.migrator_role, database, address, port) for database in databases]
        for folder, url, whose in zip((base.folder, ROOT), urls, ("the base", "this checkout"), strict=True):
            report(f"{name}: as {whose} has it, with rows")
            fill(Fill(folder, name, url), MANY)
        of_base = queries.read(path) if (path := base.folder / "db" / name / "queries.yaml").exists() else ()
        listed = ("base", of_base), ("checkout", asked)
        sides = [
            stack.enter_context(_side(session, product, title, each, database, address, port))
            for (title, each), database in zip(listed, databases, strict=True)
        ]
        report(f"{name}: {len(asked)} queries, on both in turns")
        return compare.compare(*sides, ratio=ratio, floor=floor)


@contextmanager
def _side(
    session: Session,
    product: Product,
    title: str,
    listed: tuple[queries.Query, ...],
    database: str,
    address: str,
    port: int,
) -> Iterator[compare.Side]:
    logins = (product.app_role, product.migrator_role)
    application, migrator = (conninfo(session.url(role, database, address, port)) for role in logins)
    with psycopg.connect(application) as first, psycopg.connect(migrator) as second:
        yield compare.Side(title, first, second, listed)
