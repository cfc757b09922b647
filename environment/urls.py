"""Connection URLs of the products, drivers named (PLAT-24, Q-16, Q-36). They hold passwords: secret."""

from __future__ import annotations

from ipaddress import IPv4Network
from urllib.parse import quote

from environment.access import encrypted
from environment.derive import Roots
from environment.errors import UNCHANGED, KeelError
from environment.manifest import Manifest
from environment.place import CA, Place
from environment.products import Product
from environment.types import Group, Provider


class OutOfReach(KeelError):
    """From there no client comes to this environment: why, and from where one does."""


def usual(manifest: Manifest) -> Place:
    """Where clients are if nothing else is said."""
    return Place.HOST if manifest.identity.provider is Provider.DOCKER else Place.MACHINE


def require_reached(manifest: Manifest, place: Place) -> None:
    """Raises OutOfReach where no client in ``place`` gets to a service."""
    name, machines = manifest.identity.name, manifest.identity.provider is Provider.SSH
    if machines and place is Place.HOST:
        raise OutOfReach(
            f"{name}: its hosts are machines, and this one publishes none of their ports",
            UNCHANGED,
            "Use --from machine",
        )
    if machines and place is Place.DOCKER:
        raise OutOfReach(
            f"{name}: its hosts are machines, and no network of Docker leads to them",
            UNCHANGED,
            "Use --from machine: a container comes with its machine's address, which keel:network.clients has to admit",
        )
    if place is Place.MACHINE and not machines:
        raise OutOfReach(
            f"{name}: its hosts are containers, whose ports are published on 127.0.0.1: no other machine reaches them",
            UNCHANGED,
            "Use --from host on the machine that has them, or --from docker in a container there",
        )
    if place is Place.DOCKER and not _admits_containers(manifest):
        raise OutOfReach(
            f"{name}: it admits no container of its network: keel:network.containers is off",
            UNCHANGED,
            "Give containers a range there (dev, ci), or name their addresses in keel:network.clients",
        )


def _admits_containers(manifest: Manifest) -> bool:
    cidr = manifest.network.cidr
    gateway = IPv4Network(cidr.network_address + 1)
    named = any(each.overlaps(cidr) and each != gateway for each in manifest.network.clients)
    return named or manifest.containers is not None


def verifies(manifest: Manifest, place: Place) -> bool:
    """True where a client has to verify the server, against ``CA``: where data is guarded, and in a container, whose network others
    join too."""
    return manifest.identity.kind.guarded or place is Place.DOCKER


def product_urls(manifest: Manifest, roots: Roots, product: Product, place: Place | None = None) -> dict[str, str]:
    """Purpose → URL: the application through the pooler, migrations direct (PLAT-21). Raises OutOfReach."""
    name = product.name
    return _urls(manifest, roots, product, (name, f"{name}_ro", "pgbouncer"), place)


def scratch_urls(
    manifest: Manifest, roots: Roots, product: Product, database: str, place: Place | None = None
) -> dict[str, str]:
    """The same of a throwaway copy, whose clients come past the pooler: it has pools for databases that it knows, and they would
    outlive the copy and hold it open. Raises OutOfReach."""
    return _urls(manifest, roots, product, (database, database, "primary"), place)


def _urls(
    manifest: Manifest, roots: Roots, product: Product, at: tuple[str, str, str], place: Place | None
) -> dict[str, str]:
    """``at``: the database, that for reads, and the service through which programs reach them."""
    place = place or usual(manifest)
    require_reached(manifest, place)
    # PLAT-39: outside dev, and where the product asks for it, TLS is required.
    tls = "verify-full" if verifies(manifest, place) else "require" if encrypted(manifest, product) else "prefer"

    def url(driver: str, role: str, database: str, address: str, port: int, option: str) -> str:
        password = quote(roots.password(role), safe="")
        return f"{driver}://{role}:{password}@{address}:{port}/{database}?{option}"

    name, reads, service = at
    pooled, direct = (reached(manifest, each, place) for each in (service, "primary"))
    app = product.app_role
    found = {
        "application_asyncpg": url("postgresql+asyncpg", app, name, *pooled, f"ssl={tls}"),
        "application_psycopg": url("postgresql+psycopg", app, name, *pooled, f"sslmode={tls}"),
        "application": url("postgresql", app, name, *pooled, f"sslmode={tls}"),
        "readonly": url("postgresql+psycopg", product.readonly_role, reads, *pooled, f"sslmode={tls}"),
        "migration": url("postgresql+psycopg", product.migrator_role, name, *direct, f"sslmode={tls}"),
    }
    if product.worker_role:  # RIQ-03
        found["worker"] = url("postgresql+psycopg", product.worker_role, name, *pooled, f"sslmode={tls}")
    return found


def redis_url(manifest: Manifest, roots: Roots, product: Product, place: Place | None = None) -> str:
    """The cache, over TLS with the product's account: it reaches keys and channels that begin with `<product>:` (W10).
    Raises OutOfReach."""
    place = place or usual(manifest)
    require_reached(manifest, place)
    address, port = reached(manifest, "redis", place)
    password = quote(roots.password(redis_login(product.name)), safe="")
    # As redis-py reads it, whose older releases verify no name unasked.
    verified = f"?ssl_cert_reqs=required&ssl_check_hostname=true&ssl_ca_certs={CA}" if place is Place.DOCKER else ""
    return f"rediss://{product.name}:{password}@{address}:{port}/0{verified}"


def redis_login(account: str) -> str:
    """Under which name the password of an account of Redis derives from the access root."""
    return f"redis/{account}"


GROUPS = {"pgbouncer": Group.EDGE, "primary": Group.EDGE, "redis": Group.REDIS}
"""Service for clients → the hosts that offer it."""


def reached(manifest: Manifest, service: str, place: Place | None = None) -> tuple[str, int]:
    """Address and port of a service for clients in ``place`` (default: the usual one): in the network the name of all its hosts; on
    this machine where a container publishes it; else the first of its hosts."""
    group, inside = GROUPS[service], int(getattr(manifest.ports, service))
    if place is Place.DOCKER:
        return manifest.called(group)[0], inside
    published = getattr(manifest.endpoints, service)
    if published and manifest.identity.provider is Provider.DOCKER:
        return manifest.endpoints.address, published
    return str(manifest.carrying(group)[0].address), inside
