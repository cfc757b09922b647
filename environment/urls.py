"""Connection URLs of the products, drivers named (PLAT-24, Q-16, Q-36). They hold passwords: secret."""

from __future__ import annotations

from urllib.parse import quote

from environment.derive import Roots
from environment.manifest import Manifest
from environment.products import Product
from environment.types import Group

REDIS_ACCOUNT = "keel_app"
"""The applications' Redis account; its password derives from the access root under `redis/<account>`."""


def product_urls(manifest: Manifest, roots: Roots, product: Product) -> dict[str, str]:
    """Purpose → URL: the application through the pooler, migrations direct (PLAT-21)."""
    endpoints = manifest.endpoints
    kind = manifest.identity.kind
    # PLAT-39: outside dev TLS is required, where data is guarded the server is verified too (output `ca`).
    tls = "verify-full" if kind.guarded else "require" if kind.encrypted else "prefer"

    def url(driver: str, role: str, database: str, address: str, port: int, option: str) -> str:
        password = quote(roots.password(role), safe="")
        return f"{driver}://{role}:{password}@{address}:{port}/{database}?{option}"

    edges = manifest.carrying(Group.EDGE)
    pooled = (endpoints.address, endpoints.pgbouncer or manifest.ports.pgbouncer)
    direct = (
        (endpoints.address, endpoints.primary) if endpoints.primary else (str(edges[0].address), manifest.ports.primary)
    )
    app, name = product.app_role, product.name
    return {
        "application_asyncpg": url("postgresql+asyncpg", app, name, *pooled, f"ssl={tls}"),
        "application_psycopg": url("postgresql+psycopg", app, name, *pooled, f"sslmode={tls}"),
        "application": url("postgresql", app, name, *pooled, f"sslmode={tls}"),
        "readonly": url("postgresql+psycopg", product.readonly_role, f"{name}_ro", *pooled, f"sslmode={tls}"),
        "migration": url("postgresql+psycopg", product.migrator_role, name, *direct, f"sslmode={tls}"),
    }


def redis_url(manifest: Manifest, roots: Roots) -> str:
    """The cache, over TLS with its account."""
    endpoints = manifest.endpoints
    password = quote(roots.password(f"redis/{REDIS_ACCOUNT}"), safe="")
    return f"rediss://{REDIS_ACCOUNT}:{password}@{endpoints.address}:{endpoints.redis or manifest.ports.redis}/0"
