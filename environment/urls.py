"""Connection URLs of the products, drivers named (PLAT-24, Q-16, Q-36). They hold passwords: secret."""

from __future__ import annotations

from urllib.parse import quote

from environment.access import encrypted
from environment.derive import Roots
from environment.manifest import Manifest
from environment.products import Product
from environment.types import Group, Provider


def product_urls(manifest: Manifest, roots: Roots, product: Product) -> dict[str, str]:
    """Purpose → URL: the application through the pooler, migrations direct (PLAT-21)."""
    kind = manifest.identity.kind
    # PLAT-39: outside dev, and where the product asks for it, TLS is required; where data is guarded the server is verified too (output `ca`).
    tls = "verify-full" if kind.guarded else "require" if encrypted(manifest, product) else "prefer"

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


def redis_url(manifest: Manifest, roots: Roots, product: Product) -> str:
    """The cache, over TLS with the product's account: it reaches keys and channels that begin with `<product>:` (W10)."""
    address, port = reached(manifest, "redis")
    password = quote(roots.password(redis_login(product.name)), safe="")
    return f"rediss://{product.name}:{password}@{address}:{port}/0"


def redis_login(account: str) -> str:
    """Under which name the password of an account of Redis derives from the access root."""
    return f"redis/{account}"


GROUPS = {"pgbouncer": Group.EDGE, "primary": Group.EDGE, "redis": Group.REDIS}
"""Service for clients → the hosts that offer it."""


def reached(manifest: Manifest, service: str) -> tuple[str, int]:
    """Address and port of a service: where a container publishes it, else on the first host of its group."""
    published = getattr(manifest.endpoints, service)
    if published and manifest.identity.provider is Provider.DOCKER:
        return manifest.endpoints.address, published
    return str(manifest.carrying(GROUPS[service])[0].address), getattr(manifest.ports, service)
