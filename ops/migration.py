"""The step `migration`: one product at its Alembic head, then its application is admitted (PLAT-26, -28)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from db import migrate, provision
from environment.products import Product
from ops.session import Session


def apply(session: Session, inputs: dict[str, Any], report: Any) -> dict[str, Any]:
    """Upgrade to head with policies, grants, functions and reference rows; the application may log in after that."""
    product = session.manifest.products[inputs["product"]].product
    with migrator(session, product) as url:
        report(f"{product.name}: {migrate.current(product, url)} → {migrate.head(product)}")
        migrate.upgrade(product, url)
        production = session.manifest.identity.kind.guarded
        migrate.seed(product, url, "reference", production=production)
    with session.superuser() as superuser:
        provision.admit(superuser.connect, product)
    return {}


def observe(session: Session, inputs: dict[str, Any]) -> list[str]:
    """Where the database differs from this checkout's revision, models and repeatable SQL."""
    product = session.manifest.products[inputs["product"]].product
    with migrator(session, product) as url:
        current, head = migrate.current(product, url), migrate.head(product)
        if current != head:
            return [f"{product.name}: at revision {current}, this checkout has {head}"]
        drift = [*migrate.differences(product, url), *migrate.repeatable_drift(product, url)]
    return sorted(f"{product.name}: {line}" for line in drift)


@contextmanager
def migrator(session: Session, product: Product) -> Iterator[str]:
    """The migrator's URL, direct to the primary (PLAT-21)."""
    with session.direct() as (address, port):
        yield session.url(product.migrator_role, product.name, address, port)
