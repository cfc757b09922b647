"""`keel summary`: one screen about an environment, with which `make up` ends: what is there, how to connect, what to try."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ops.cli.console import Environment, stdout, table

if TYPE_CHECKING:
    from environment.manifest import Manifest


def summary(environment: Environment = "dev") -> None:
    """Show what the environment consists of, how to connect as each product, and what to try next. Asks no host."""
    from ops.hosts.environment import load_layout

    manifest = load_layout(environment)
    console = stdout()
    console.print(
        f"Environment {environment}, kind {manifest.identity.kind.value}, PostgreSQL {manifest.release.postgres}"
    )
    hosts = table("Hosts", "host", "address", "runs", "SSH")
    for host in manifest.hosts:
        groups = ", ".join(group.value for group in host.groups)
        hosts.add_row(host.name, str(host.address), groups, f"{host.ssh.hostname}:{host.ssh.port}")
    services = table("Services", "service", "where", "for")
    for row in _services(manifest):
        services.add_row(*row)
    products = table("Products", "product", "database", "open a shell", "write the application's settings")
    for name, entry in manifest.products.items():
        products.add_row(
            entry.product.title, name, _keel(environment, f"psql {name}"), _keel(environment, f"env {name} > .env")
        )
    following = table("Next", "command", "what it does")
    for command in _next(environment, next(iter(manifest.products)), guarded=manifest.identity.kind.guarded):
        following.add_row(*command)
    for each in (hosts, services, products, following):
        console.print(each)


def _keel(environment: str, command: str) -> str:
    """As an operator types it; dev is the default."""
    return f"./keel {command}" if environment == "dev" else f"./keel -e {environment} {command}"


def _services(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    """Service, address and port from this machine, and who uses it."""
    from environment.urls import reached

    for service, purpose in (
        ("pgbouncer", "applications and reports, through the pooler"),
        ("primary", "migrations, directly to the primary"),
        ("redis", "sessions and cache, over TLS"),
    ):
        address, port = reached(manifest, service)
        yield service, f"{address}:{port}", purpose


def _next(environment: str, product: str, *, guarded: bool) -> Iterator[tuple[str, str]]:
    """What a person tries after a first `up`; where data is guarded, nothing that adds or removes any."""
    where = "" if environment == "dev" else f" ENV={environment}"
    yield _keel(environment, "status"), "hosts, replication, pools, backups and alerts"
    if not guarded:
        yield _keel(environment, f"db seed {product} --set demo"), "add test data to one product"
    yield _keel(environment, "backup list"), "what can be restored, and from when"
    yield f"make preview{where}", f"what a change of stacks/Pulumi.{environment}.yaml would do"
    if not guarded:
        yield f"make down{where}", "remove the environment with its data"
    yield "docs/first-hour.md", "change, break and repair something, step by step"
