"""Undo the last migration of a product: by its downgrade, or by a restore of its database to just before it."""

from __future__ import annotations

from typing import NamedTuple

from db import migrate
from environment.errors import KeelError
from environment.products import Product
from environment.report import Report
from ops.backup import partial_restore, restore, restore_points
from ops.hosts import lock
from ops.hosts.session import Session
from ops.products.migrations import migrator


class NoWayBack(KeelError):
    """There is no migration to undo."""


class Last(NamedTuple):
    """The last migration of a product."""

    point: str
    """Name of the restore point before it."""
    time: str
    before: str
    """Its revision before, whole; that after it too."""
    after: str


def last(session: Session, product: Product) -> Last:
    """Raises NoWayBack."""
    points = [point for point in restore_points.recorded(session) if point["name"].startswith(f"{product.name}-")]
    if not points or points[-1]["name"].split("-")[1] == "empty":
        raise NoWayBack(f"{product.name}: no migration ran since the database was created; there is nothing to undo")
    # The name holds only the beginnings of the revisions.
    _, before, after, _ = points[-1]["name"].rsplit("-", 3)
    whole = (migrate.resolve(product, revision) for revision in (before, after))
    return Last(points[-1]["name"], points[-1]["time"], *whole)


def downgrade(session: Session, product: Product, undone: Last) -> None:
    """The database stays. What the migration added is removed with its rows."""
    with lock.held(session, [session.leader().name]), migrator(session, product) as url:
        migrate.downgrade(product, url, undone.before)


def restored(session: Session, product: Product, undone: Last, report: Report) -> str:
    """The database comes back as it was just before; the name under which the previous one is kept, "" where there is none."""
    restore.archive_all(session)
    return partial_restore.product(session, product.name, restore.plan(session, undone.point), report) or ""
