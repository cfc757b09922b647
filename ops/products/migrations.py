"""A product's database as its migrator sees it, and how it differs from this checkout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from db import check
from db.difference import Difference
from environment.products import Product
from ops.hosts.session import Session


def differences(session: Session, name: str) -> list[Difference]:
    """Where the product's database differs from this checkout's revision, models and repeatable SQL."""
    entry = session.manifest.products[name]
    with migrator(session, entry.product) as url:
        found = check.drift(entry.product, url, entry.limits.revision)
    return sorted(Difference(f"{name}: {finding.sentence}", finding.undo, finding.stays) for finding in found)


@contextmanager
def migrator(session: Session, product: Product) -> Iterator[str]:
    """The migrator's URL, direct to the primary (PLAT-21)."""
    with session.direct() as (address, port):
        yield session.url(product.migrator_role, product.name, address, port)
