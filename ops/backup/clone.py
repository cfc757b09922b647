"""Databases of one environment at a moment, put in place of another's: from its repository, personal data masked first.

The source is only read, and its personal data does not leave it: the moment is restored to a scratch server, on its backup
host, and masked there; then each database goes to the target as a dump and takes its place (ADA-22, JEEX-35).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from psycopg import sql

from db import masking, migrate
from environment.errors import UNCHANGED, Refused
from environment.kind import Kind
from environment.manifest import Manifest
from environment.names import BACKUP
from environment.products import Product
from environment.report import Report
from keel_host.fingerprint import rows
from keel_host.revision import read_revision
from ops.backup import partial_restore, restore
from ops.backup.repository import check_space
from ops.backup.scratch import scratch_server
from ops.hosts import lock
from ops.hosts.session import Session, Superuser
from ops.products import databases
from roles import paths

GUARD = {Kind.DEV: 0, Kind.CI: 0, Kind.STAGING: 1, Kind.PRODUCTION: 2}
"""How well an environment of a kind guards what is in it."""


@dataclass(frozen=True)
class Clone:
    """What a clone will do, for a person to decide on."""

    wanted: restore.Plan
    """The moment of the source."""
    products: tuple[str, ...]
    left_out: tuple[str, ...]
    """Products of the source that the target does not list."""
    masked: bool
    keep: bool
    """Whether the target's present databases are kept under another name."""


def plan(
    source: Session, target: Session, text: str, names: Sequence[str] = (), *, masked: bool = True, into: bool = False, drop: bool = False,
    label: str | None = None, timeline: str = "latest", number: int | None = None,
) -> Clone:  # fmt: skip
    """What a clone of ``names`` (default: all that both list) at the moment ``text`` means. With ``into`` it is a restore into
    an environment made for that. Raises Refused, with every reason, ValueError or Unreachable; nothing was changed."""
    products = choose(source.manifest, target.manifest, names, masked=masked, into=into)
    host = target.leader().name
    if into and target.manifest.identity.kind is Kind.PRODUCTION:
        _check_new(target, products)
    wanted = restore.plan(source, text, label=label, timeline=timeline, number=number)
    check_space(target, host, paths.data_directory(target.manifest), wanted.bytes)
    left_out = tuple(name for name in source.manifest.products if name not in products) if not names else ()
    keep = target.manifest.identity.kind.guarded and not drop
    return Clone(wanted, products, left_out, masked, keep)


def choose(
    source: Manifest, target: Manifest, names: Sequence[str], *, masked: bool, into: bool = False
) -> tuple[str, ...]:
    """The products to be cloned. Raises Refused with every reason why not."""
    if problems := list(_problems(source, target, names, masked=masked, into=into)):
        raise Refused("\n- ".join(["no clone:", *problems]), UNCHANGED)
    return tuple(names) or tuple(name for name in source.products if name in target.products)


def _problems(source: Manifest, target: Manifest, names: Sequence[str], *, masked: bool, into: bool) -> Iterator[str]:
    one, other = source.identity, target.identity
    if one.name == other.name:
        yield f"{one.name} is both source and target. To go back in time in place: ./keel -e {one.name} restore"
    if other.kind is Kind.PRODUCTION and not (into and one.kind is Kind.PRODUCTION):
        yield f"{other.name} is production: Keel never replaces its databases"
    if not masked and GUARD[other.kind] < GUARD[one.kind]:
        yield f"{other.name} ({other.kind}) protects less than {one.name} ({one.kind}): personal data must be masked"
    for name in names:
        for manifest in (source, target):
            if name not in manifest.products:
                yield f"{name} is no product of {manifest.identity.name}; it lists {', '.join(manifest.products)}"
    if not names and not source.products.keys() & target.products.keys():
        yield f"{one.name} and {other.name} have no product in common"
    if source.release.postgres > target.release.postgres:
        yield (
            f"{one.name} runs PostgreSQL {source.release.postgres}, {other.name} {target.release.postgres}: "
            "a dump cannot be loaded into an older server"
        )


def _check_new(target: Session, names: Sequence[str]) -> None:
    """Raise Refused when the target's databases hold anybody's rows."""
    with target.superuser() as superuser:
        used = [name for name in names if _has_rows(superuser, target.manifest.products[name].product)]
    if used:
        raise Refused(
            f"{target.manifest.identity.name} is production and not new: {', '.join(used)} hold rows",
            UNCHANGED,
            "Make an environment for it: make up ENV=…",
        )


def _has_rows(superuser: Superuser, product: Product) -> bool:
    """True if anybody but the product itself has put rows into the database."""
    private = [name for name, facts in product.tables.items() if facts.classification == "confidential"]
    with superuser.look(product.name, BACKUP) as connection:
        for name in private or product.tables:
            there = connection.execute(b"select to_regclass(%s)", [f"public.{name}"]).fetchone()
            if there and there[0]:
                with closing(rows(connection, sql.Identifier("public", name))) as found:
                    if next(found, None) is not None:
                        return True
    return False


def apply(source: Session, target: Session, clone: Clone, report: Report) -> dict[str, str | None]:
    """Carry it out; product → the name under which its former database is kept. Raises RestoreFailed, RepositoryFailed,
    NotMaskable or MaskingFailed; before the first database takes its place nothing was changed. Run again, it starts from the beginning."""
    if clone.wanted.newest is not None:
        restore.archive_all(source)
    products = [target.manifest.products[name].product for name in clone.products]
    only = clone.products[0] if len(clone.products) == 1 else None
    with (
        lock.held(target, [target.leader().name]),
        scratch_server(source, clone.wanted, report, only=only) as origin,
        target.superuser() as superuser,
    ):
        if clone.masked:
            key = secrets.token_hex(32)
            for product in products:
                masking.mask(origin.owner, product, key, report)
        options = masking.dump_options(source.manifest.release.postgres) if clone.masked else ()
        try:
            for name in clone.products:
                partial_restore.bring(source, origin, target, superuser, name, report, options)
        except BaseException:
            partial_restore.forget(superuser, clone.products)
            raise
        kept = {name: partial_restore.take_place(superuser, name, report, keep=clone.keep) for name in clone.products}
        report("roles, grants and passwords")
        databases.provide(target, report)
    return kept


def heads(target: Session, names: Sequence[str]) -> dict[str, tuple[str | None, str]]:
    """Product → the revision that its database is at, and this checkout's newest."""
    found = {}
    with target.superuser() as superuser:
        for name in names:
            with superuser.look(name) as connection:
                found[name] = (read_revision(connection), migrate.head(target.manifest.products[name].product))
    return found
