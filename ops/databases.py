"""The step `databases`: roles, databases, extensions and grants on the primary (PLAT-07, -09, -10, -28)."""

from __future__ import annotations

from typing import Any

import psycopg
from pydantic import SecretStr

from db import migrate, provision
from db.spec import ClusterSpec, Migrated, cluster_roles, product_roles
from environment.types import Kind
from ops.session import Session, Superuser
from roles.postgres.names import REWIND


def apply(session: Session, inputs: dict[str, Any], report: Any) -> dict[str, Any]:
    """Make the cluster hold what the model declares."""
    with session.superuser() as superuser:
        changes = provision.plan(superuser.connect, spec(session, superuser))
        # What nobody declared is taken back in dev and ci; where data is guarded, and for extensions, it is only told.
        prune = not session.manifest.identity.kind.guarded
        chosen = [change for change in changes if not change.what.startswith("drop extension")]
        for change in provision.apply(superuser.connect, chosen, prune=prune):
            report(f"databases: {change.what}")
    return {}


def observe(session: Session, inputs: dict[str, Any]) -> list[str]:
    """The changes that `up` would make, one line each."""
    with session.superuser() as superuser:
        changes = provision.plan(superuser.connect, spec(session, superuser))
    return sorted(f"{change.database}: {change.what}" for change in changes)


def spec(session: Session, superuser: Superuser) -> ClusterSpec:
    """What the cluster should hold, with the derived passwords."""
    products = tuple(entry.product for entry in session.manifest.products.values())
    roles = [*cluster_roles(session.manifest.release.postgres)]
    roles += [role for product in products for role in product_roles(product, Migrated.NEVER)]
    return ClusterSpec(
        products=products,
        passwords={role.name: SecretStr(session.roots.password(role.name)) for role in roles if role.password},
        locale=session.manifest.postgres.locale,
        migrated={product.name: _migrated(superuser, product) for product in products},
        development=session.manifest.identity.kind is Kind.DEV,
        maintenance_logins=(REWIND,),
    )


def _migrated(superuser: Superuser, product: Any) -> Migrated:
    try:
        with superuser.connect(product.name) as connection:
            row = connection.execute("select version_num from alembic.alembic_version").fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return Migrated.NEVER
    except psycopg.OperationalError as error:
        if "does not exist" in str(error):
            return Migrated.NEVER
        raise
    if row is None:
        return Migrated.NEVER
    return Migrated.HEAD if row[0] == migrate.head(product) else Migrated.BEHIND
