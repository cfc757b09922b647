"""The step `migration`: one product at its revision, then its application is admitted (PLAT-26, -28)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg

from db import migrate, provision, release
from db.url import conninfo
from environment.manifest import ProductEntry
from environment.products import Product, short
from environment.report import Report
from environment.waiting import until
from ops.backup import jobs, restore_points
from ops.hosts.session import Session
from ops.products import migrations, pools


class Moved(NamedTuple):
    """From which revision to which a database came; the same where it was there."""

    before: str | None
    after: str


def apply(session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Bring the product to its revision."""
    bring(session, inputs["product"], report)
    return {}


def bring(session: Session, name: str, report: Report) -> Moved:
    """Upgrade to head, or to where the stack holds it; at head the product's programs may log in.

    A restore point is set before the first revision runs, and an error names it. Where data is guarded a backup comes
    before it (JEEX-24), and the release gate before admission.
    """
    entry = session.manifest.products[name]
    product, guarded = entry.product, session.manifest.identity.kind.guarded
    with migrations.migrator(session, product) as url:
        _await_way(product, url)
        moved = _upgrade(session, entry, url, report)
        if guarded:
            with psycopg.connect(conninfo(url)) as connection:
                release.admit(product, connection)
        if moved.after != migrate.head(product):
            return moved
        migrate.seed(product, url, "reference", production=guarded)
    with session.superuser() as superuser:
        provision.admit(superuser.connect, product)
    return moved


def observe(session: Session, inputs: dict[str, Any]) -> list[str]:
    """Where the database differs, one line each, with the SQL that would undo it."""
    return [str(difference) for difference in migrations.differences(session, inputs["product"])]


def _await_way(product: Product, url: str) -> None:
    """The edge comes up at the same time as the databases, and HAProxy leads to the primary once it has checked it. Raises NotReached."""

    def logs_in() -> bool:
        with psycopg.connect(conninfo(url)):
            return True

    until(logs_in, 30, f"a log-in to {product.name} on the primary", despite=(psycopg.OperationalError,))


def _upgrade(session: Session, entry: ProductEntry, url: str, report: Report) -> Moved:
    """Bring the database to its revision."""
    product = entry.product
    at, target = migrate.current(product, url), migrate.resolve(product, entry.limits.revision)
    report(f"{product.name}: {at} → {target}")
    if at == target:
        migrate.upgrade(product, url, target=target)  # functions, policies and grants
        return Moved(at, target)
    if session.manifest.databases.backup_before_migration:
        report(f"{product.name}: a backup comes first")
        jobs.run(session, jobs.Job.INCREMENTAL, report)
    point = _restore_point(session, product, at, target)
    report(f"{product.name}: restore point {point}")
    try:
        migrate.upgrade(product, url, target=target)
    except migrate.MigrationError as error:
        raise migrate.MigrationError(
            error.problem, error.left, f"{error.advice}\nRestore point before this migration: {point}"
        ) from error
    finally:
        if at:  # before the first revision no client was admitted
            pools.renew(session, product, report)
    return Moved(at, target)


def _restore_point(session: Session, product: Product, at: str | None, target: str) -> str:
    """Name this moment in the WAL, for a recovery that ends just before the migration; at most 63 bytes."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{product.name}-{short(at) if at else 'empty'}-{short(target)}-{moment}"
    restore_points.create(session, product.name, name)
    return name
