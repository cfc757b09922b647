"""Throwaway copies of a product's database in an environment: who may have them, and the URLs that lead there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from db import scratch
from environment import scratch as names
from environment.digest import of_database
from environment.errors import UNCHANGED, Refused
from environment.kind import Kind
from environment.place import Place
from environment.products import Product
from environment.report import Report
from environment.urls import require_reached, scratch_urls, usual
from ops.hosts.session import Session
from ops.products import databases
from ops.products.lookup import product_of


class Made(NamedTuple):
    """A copy, and how it is reached."""

    name: str
    urls: dict[str, str]
    dropped: list[scratch.Copy]
    """Forgotten ones that went."""
    there: list[scratch.Copy]
    """Those that were there and stay."""


def copied(session: Session, name: str) -> Product:
    """The product. Raises UnknownProduct, or Refused where there are no copies."""
    product, manifest = product_of(session.manifest, name), session.manifest
    if not names.offered(manifest):
        identity, major = manifest.identity, manifest.release.postgres
        why = (
            f"is {identity.kind}: its data stays where it is"
            if identity.kind.guarded
            else f"has PostgreSQL {major}, which cannot admit databases by a pattern; {names.LEAST_MAJOR} can"
        )
        raise Refused(f"{identity.name} {why}. There are no scratch copies", UNCHANGED)
    return product


def make(session: Session, name: str, place: Place | None, report: Report) -> Made:
    """Make a copy for clients in ``place``; drop those of the product that are older than `db.scratch.LASTS`.
    Raises as :func:`copied` and `db.scratch.make`, or OutOfReach."""
    product, manifest = copied(session, name), session.manifest
    require_reached(manifest, place or usual(manifest))
    with session.superuser() as superuser, session.direct() as (address, port):
        source = _source(session, product, address, port)
        made = scratch.make(superuser.connect, source, report)
        others = [copy for copy in scratch.copies(superuser.connect, product) if copy.name != made]
        old = [copy for copy in others if copy.age > scratch.LASTS]
        if old:
            scratch.drop(superuser.connect, product, [copy.name for copy in old])
    urls = scratch_urls(manifest, session.roots, product, made, place)
    return Made(made, urls, old, [copy for copy in others if copy not in old])


def listed(session: Session, name: str) -> list[scratch.Copy]:
    """The product's copies, the oldest first. Raises as :func:`copied`."""
    product = copied(session, name)
    with session.superuser() as superuser:
        return scratch.copies(superuser.connect, product)


def drop(session: Session, name: str, wanted: list[str] | None) -> list[str]:
    """Drop these copies, all where None; their names. Raises as :func:`copied`, or Refused for another name."""
    product = copied(session, name)
    with session.superuser() as superuser:
        if wanted is None:
            wanted = [copy.name for copy in scratch.copies(superuser.connect, product)]
        scratch.drop(superuser.connect, product, wanted)
    return wanted


@contextmanager
def copy(session: Session, name: str, report: Report) -> Iterator[str]:
    """The name of a copy that is gone in the end. Raises as :func:`make`."""
    made = make(session, name, None, report).name
    try:
        yield made
    finally:
        drop(session, name, [made])


@contextmanager
def bare(session: Session, name: str) -> Iterator[str]:
    """The name of a database like a copy before its first revision, gone in the end. Raises as :func:`copied`."""
    product = copied(session, name)
    with (
        session.superuser() as superuser,
        session.direct() as (address, port),
        scratch.bare(superuser.connect, _source(session, product, address, port)) as made,
    ):
        yield made


def _source(session: Session, product: Product, address: str, port: int) -> scratch.Source:
    name, manifest = product.name, session.manifest
    entry = manifest.products[name]
    return scratch.Source(
        product=product,
        digest=of_database(name, manifest.postgres.locale, manifest.identity.kind, entry.limits.revision or ""),
        locale=manifest.postgres.locale,
        bounds=databases.bounds(manifest)[name],
        development=manifest.identity.kind is Kind.DEV,
        revision=entry.limits.revision,
        url=lambda database: session.url(product.migrator_role, database, address, port),
    )
