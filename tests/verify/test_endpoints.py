"""What clients outside the environment use: the published or named ports, as an application finds them."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from environment.manifest import Endpoints, Manifest, ProductEntry
from environment.names import BACKUP, PGBOUNCER, REPLICATION, REWIND, SUPERUSER
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


def test_primary_refuses_plaintext(direct: Callable[[Product], str], secured: ProductEntry) -> None:
    """PLAT-40, X-51: whoever comes past the pooler in clear is turned away, with the right password too; in dev those
    of a product that asks for it."""
    url = direct(secured.product)
    with (
        pytest.raises(psycopg.OperationalError, match="no encryption"),
        psycopg.connect(url, sslmode="disable", connect_timeout=10),
    ):
        pytest.fail(f"{secured.product.migrator_role} logged in in clear", pytrace=False)


def test_service_logins_do_not_come_through_an_edge(session: Session, primary: tuple[str, int]) -> None:
    """PLAT-41, JEEX-33, W4: with the right password too, and over TLS; the look-up's lacks its certificate."""
    address, port = primary
    for role in (BACKUP, PGBOUNCER, REPLICATION, REWIND, SUPERUSER):
        for way in ("sslmode=verify-full", "sslmode=disable", "replication=true"):
            name, value = way.split("=")
            url = make_conninfo(session.url(role, "postgres", address, port), **{name: value})
            with (
                pytest.raises(
                    psycopg.OperationalError, match=r"pg_hba.conf rejects|requires a valid client certificate"
                ),
                psycopg.connect(url, connect_timeout=10),
            ):
                pytest.fail(f"{role} logged in through {address}:{port} ({way})", pytrace=False)


def test_pooler(published: Endpoints, session: Session, product: ProductEntry) -> None:
    """JEEX-03: the application reaches its database through the published port of PgBouncer."""
    role, database = product.product.app_role, product.product.name
    url = session.url(role, database, published.address, published.pgbouncer or 0)
    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute("select current_database()::text, current_user::text, pg_is_in_recovery()").fetchone()
    assert row == (database, role, False), f"{published.address}:{published.pgbouncer} leads to {row}"
