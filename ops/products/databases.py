"""Roles, databases, extensions and grants on the primary (PLAT-07, -09, -10, -28)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import psycopg
from pydantic import SecretStr

from db import provision
from db.change import Change
from db.difference import Difference
from db.found import Cluster, NotAdmitted, looking, read_cluster
from db.spec import MAINTENANCE_DATABASE, Bounds, ClusterSpec, Migrated, cluster_roles, product_roles
from environment import budget, scratch
from environment.kind import Kind
from environment.manifest import Manifest
from environment.names import REPLICATION, REWIND
from environment.products import Product, catalogue
from environment.report import Report
from environment.server_parameters import text
from environment.settings import ProductSettings
from environment.types import ParameterValue, Undeclared
from keel_host.revision import read_revision
from ops.hosts.session import Session, Superuser
from ops.products import pools

MANY = 25
"""Changes that are listed; of more, only the number is."""


def provide(session: Session, report: Report) -> None:
    """Make the cluster hold what the model declares."""
    with session.superuser() as superuser:
        prune = session.manifest.databases.undeclared is Undeclared.REMOVE
        wanted = spec(session, superuser)
        done, left = provision.converge(superuser.connect, superuser.look, wanted, prune=prune)
    for sentence in _sentences(done):
        report(f"databases: {sentence}")
    for change in left:
        report(f"databases: left as it is: {change.difference}")
    for product in wanted.products:  # of a new database the poolers have no connection
        if wanted.migrated[product.name] is not Migrated.NEVER and product.name in {each.sessions for each in done}:
            pools.renew(session, product, report)


def _sentences(done: list[Change]) -> Iterator[str]:
    """Each change, or their numbers where a new environment would fill the screen with them."""
    if len(done) <= MANY:
        yield from (change.what for change in done)
        return
    for database, number in Counter(change.database for change in done).items():
        what = (
            "roles and databases" if database == MAINTENANCE_DATABASE else f"schemas, extensions, grants of {database}"
        )
        yield f"{what}: {number} changes"


def differences(session: Session) -> list[Difference]:
    """What `up` would change, remove where `keel:databases.undeclared` says so, or only tell."""
    with session.superuser() as superuser:
        changes = provision.plan(superuser.connect, superuser.look, spec(session, superuser))
    keeps = session.manifest.databases.undeclared is not Undeclared.REMOVE
    return sorted(replace(one.difference, stays=one.told or (one.removes and keeps)) for one in changes)


def spec(session: Session, superuser: Superuser) -> ClusterSpec:
    """What the cluster should hold, with the derived passwords."""
    products = tuple(entry.product for entry in session.manifest.products.values())
    with superuser.connect(MAINTENANCE_DATABASE) as connection:
        cluster = read_cluster(connection)
    limits = bounds(session.manifest)
    roles = [*cluster_roles(session.manifest.release.postgres)]
    roles += [role for product in products for role in product_roles(product, Migrated.NEVER)]
    return ClusterSpec(
        products=products,
        passwords={role.name: SecretStr(session.roots.password(role.name)) for role in roles if role.password},
        locale=session.manifest.postgres.locale,
        migrated={product.name: _migrated(superuser, product, cluster) for product in products},
        development=session.manifest.identity.kind is Kind.DEV,
        unlisted=tuple(product for name, product in catalogue().items() if name not in session.manifest.products),
        copies=scratch.offered(session.manifest),
        kept_roles=(REPLICATION,),
        maintenance_logins=(REWIND,),
        bounds=limits,
    )


def bounds(manifest: Manifest) -> dict[str, Bounds]:
    """What each product may take of the server: its connections from the budget, the rest from its settings (W9)."""
    return {
        name: Bounds(
            database=share.database,
            login=share.login,
            migrator=share.migrator,
            settings=_settings(manifest.products[name].limits),
            of_database=_texts(manifest.products[name].limits.settings),
            startup=_texts(manifest.products[name].limits.startup),
        )
        for name, share in budget.connections(manifest).items()
    }


def _texts(parameters: Mapping[str, ParameterValue]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text(value)) for name, value in parameters.items())


def _settings(limits: ProductSettings) -> tuple[tuple[str, str], ...]:
    """Of a product's programs. The first spares an application that means well; PgBouncer and `end-sessions` stop one that
    lifts it. No program can lift the second."""
    return (
        ("idle_in_transaction_session_timeout", f"{limits.idle_transaction}s"),
        ("temp_file_limit", f"{limits.temp_files}MB"),
    )


def _migrated(superuser: Superuser, product: Product, cluster: Cluster) -> Migrated:
    """How far the product's database has come; BEHIND, which leaves its logins as they are, where that cannot be seen."""
    from db import migrate  # Alembic comes with it, and takes half a second to import

    if product.name not in cluster.databases:
        return Migrated.NEVER
    try:
        with looking(superuser.look, cluster, product.name) as connection:
            revision = read_revision(connection)
    except (NotAdmitted, psycopg.errors.InsufficientPrivilege):
        return Migrated.BEHIND
    if revision is None:
        return Migrated.NEVER
    return Migrated.HEAD if revision == migrate.head(product) else Migrated.BEHIND
