"""Connection URLs of the products, drivers named (PLAT-24, Q-16, Q-36). They hold passwords: secret."""

from __future__ import annotations

from urllib.parse import quote

from environment.derive import Roots
from environment.manifest import Manifest
from environment.products import Product
from environment.types import Group, Provider

REDIS_ACCOUNT = "keel_app"
"""The applications' Redis account; its password derives from the access root under `redis/<account>`."""


def product_urls(manifest: Manifest, roots: Roots, product: Product) -> dict[str, str]:
    """Purpose → URL: the application through the pooler, migrations direct (PLAT-21)."""
    kind = manifest.identity.kind
    # PLAT-39: outside dev TLS is required, where data is guarded the server is verified too (output `ca`).
    tls = "verify-full" if kind.guarded else "require" if kind.encrypted else "prefer"

    def url(driver: str, role: str, database: str, address: str, port: int, option: str) -> str:
        password = quote(roots.password(role), safe="")
        return f"{driver}://{role}:{password}@{address}:{port}/{database}?{option}"

    pooled, direct = reached(manifest, "pgbouncer"), reached(manifest, "primary")
    app, name = product.app_role, product.name
    found = {
        "application_asyncpg": url("postgresql+asyncpg", app, name, *pooled, f"ssl={tls}"),
        "application_psycopg": url("postgresql+psycopg", app, name, *pooled, f"sslmode={tls}"),
        "application": url("postgresql", app, name, *pooled, f"sslmode={tls}"),
        "readonly": url("postgresql+psycopg", product.readonly_role, f"{name}_ro", *pooled, f"sslmode={tls}"),
        "migration": url("postgresql+psycopg", product.migrator_role, name, *direct, f"sslmode={tls}"),
    }
    if product.worker_role:  # RIQ-03
        found["worker"] = url("postgresql+psycopg", product.worker_role, name, *pooled, f"sslmode={tls}")
    return found


def redis_url(manifest: Manifest, roots: Roots) -> str:
    """The cache, over TLS with its account."""
    address, port = reached(manifest, "redis")
    password = quote(roots.password(f"redis/{REDIS_ACCOUNT}"), safe="")
    return f"rediss://{REDIS_ACCOUNT}:{password}@{address}:{port}/0"


GROUPS = {"pgbouncer": Group.EDGE, "primary": Group.EDGE, "redis": Group.REDIS}
"""Service for clients → the hosts that offer it."""


def reached(manifest: Manifest, service: str) -> tuple[str, int]:
    """Address and port of a service: where a container publishes it, else on the first host of its group."""
    published = getattr(manifest.endpoints, service)
    if published and manifest.identity.provider is Provider.DOCKER:
        return manifest.endpoints.address, published
    return str(manifest.carrying(GROUPS[service])[0].address), getattr(manifest.ports, service)
