"""What clients outside the environment use: the published or named ports, as an application finds them."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from environment.manifest import Endpoints, Manifest, ProductEntry
from environment.products import Product
from ops.hosts.session import Session


def test_primary_direct(session: Session, manifest: Manifest, product: ProductEntry) -> None:
    """JEEX-03, PLAT-21: migrations reach the primary itself, on its own port and past the pooler."""
    role = product.product.migrator_role
    with (
        session.direct() as (address, port),
        psycopg.connect(session.url(role, product.product.name, address, port), connect_timeout=10) as connection,
    ):
        row = connection.execute("select pg_is_in_recovery(), inet_server_port(), current_user").fetchone()
    assert row == (False, manifest.ports.postgres, role), f"{address}:{port} leads to {row}"


def test_primary_refuses_plaintext(encrypted: None, direct: Callable[[Product], str], product: ProductEntry) -> None:
    """PLAT-40: whoever comes past the pooler in clear is turned away, with the right password too."""
    url = direct(product.product)
    with (
        pytest.raises(psycopg.OperationalError, match="no encryption"),
        psycopg.connect(url, sslmode="disable", connect_timeout=10),
    ):
        pytest.fail(f"{product.product.migrator_role} logged in in clear", pytrace=False)


def test_pooler(published: Endpoints, session: Session, product: ProductEntry) -> None:
    """JEEX-03: the application reaches its database through the published port of PgBouncer."""
    role, database = product.product.app_role, product.product.name
    url = session.url(role, database, published.address, published.pgbouncer or 0)
    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute("select current_database()::text, current_user::text, pg_is_in_recovery()").fetchone()
    assert row == (database, role, False), f"{published.address}:{published.pgbouncer} leads to {row}"
