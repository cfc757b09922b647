"""An interactive session with a product's database. The password is in a private file, never an argument."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from environment.errors import KeelError
from environment.names import ADMIN

if TYPE_CHECKING:
    from environment.products import Product
    from ops.hosts.session import Session

SERVICE = "keel"
LOOPBACK = "127.0.0.1"


class Role(StrEnum):
    """Who to be."""

    APP = "app"
    WORKER = "worker"
    READONLY = "readonly"
    MIGRATOR = "migrator"
    ADMIN = "admin"


class Route(StrEnum):
    """Which way to go."""

    POOLED = "pooled"
    DIRECT = "direct"
    REPLICA = "replica"


class WrongWay(KeelError):
    """The way does not fit the role, or more than one was named."""


class Endpoint(NamedTuple):
    """Where psql connects, as libpq's parameters."""

    host: str
    port: int
    dbname: str
    hostaddr: str | None = None
    """Where ``host`` is a name that only certificates know."""


def route(role: Role, named: Sequence[Route]) -> Route:
    """The way for ``role``. Raises WrongWay: the pooler admits no role that passes row-level security (PLAT-19)."""
    if len(named) > 1:
        raise WrongWay("choose one of --direct, --pooled, --replica")
    usual = Route.POOLED if role in (Role.APP, Role.WORKER, Role.READONLY) else Route.DIRECT
    way = named[0] if named else usual
    if role is Role.MIGRATOR and way is not Route.DIRECT:
        raise WrongWay("the migrator sees all rows, and the pooler does not admit such roles. Use --direct")
    return way


def login(product: Product, role: Role) -> str:
    """The role's name in the server. Raises WrongWay when the product has no such role."""
    if role is Role.WORKER and not product.worker_role:
        raise WrongWay(f"{product.name} has no worker role; its application is {product.app_role}")
    return {
        Role.APP: product.app_role,
        Role.WORKER: product.worker_role or "",
        Role.READONLY: product.readonly_role,
        Role.MIGRATOR: product.migrator_role,
        Role.ADMIN: ADMIN,
    }[role]


def service(session: Session, user: str, endpoint: Endpoint, authority: str) -> str:
    """libpq's service file: every parameter in one private place, the password with them."""
    lines = {
        **{key: value for key, value in endpoint._asdict().items() if value},
        "user": user,
        "password": session.roots.password(user),
        "sslmode": "verify-full",
        "sslrootcert": authority,
    }
    return "\n".join([f"[{SERVICE}]", *(f"{key}={value}" for key, value in lines.items()), ""])


def run(session: Session, product: Product, role: Role, way: Route, arguments: Sequence[str]) -> int:
    """psql with ``arguments``, here or, where this machine has none, on an edge; its exit status."""
    start = _here if shutil.which("psql") else _on_a_host
    return start(session, product, role, way, arguments)


def _here(session: Session, product: Product, role: Role, way: Route, arguments: Sequence[str]) -> int:
    with _endpoint(session, product, way) as endpoint:
        path = session.folder / "pg_service.conf"
        path.touch(mode=0o600)
        path.write_text(service(session, login(product, role), endpoint, str(session.ca)))
        variables = {**os.environ, "PGSERVICEFILE": str(path)}
        return _foreground(["psql", f"service={SERVICE}", *arguments], variables)


@contextmanager
def _endpoint(session: Session, product: Product, way: Route) -> Iterator[Endpoint]:
    """From this machine: published ports, or through SSH, because the pooler admits applications, not controllers."""
    from environment.types import Group, Provider

    manifest = session.manifest
    edge, published = manifest.carrying(Group.EDGE)[0], manifest.endpoints.pgbouncer
    if way is Route.DIRECT:
        with session.direct() as (address, port):
            yield Endpoint(address, port, product.name)
    elif manifest.identity.provider is Provider.DOCKER and published:
        yield Endpoint(manifest.endpoints.address, published, _pooled(product, way))
    else:
        with session.tunnel(edge, manifest.ports.pgbouncer) as port:
            yield Endpoint(LOOPBACK, port, _pooled(product, way))


def _pooled(product: Product, way: Route) -> str:
    return f"{product.name}_ro" if way is Route.REPLICA else product.name


def _on_a_host(session: Session, product: Product, role: Role, way: Route, arguments: Sequence[str]) -> int:
    """Where this machine has no psql: on an edge, with a private file that goes when psql ends."""
    from environment.types import Group
    from roles.paths import CA

    manifest = session.manifest
    edge = manifest.carrying(Group.EDGE)[0]
    host = edge.name
    if way is Route.DIRECT:
        # The certificate is the server's, the address the proxy's.
        endpoint = Endpoint(manifest.primary_name, manifest.ports.primary, product.name, str(edge.address))
    else:
        endpoint = Endpoint(str(edge.address), manifest.ports.pgbouncer, _pooled(product, way))
    folder = session.run(host, "mktemp -d /dev/shm/keel-psql.XXXXXXXX").strip()
    try:
        content = service(session, login(product, role), endpoint, CA)
        session.run(host, f"umask 077; cat > {folder}/service", given=content)
        command = shlex.join(["env", f"PGSERVICEFILE={folder}/service", "psql", f"service={SERVICE}", *arguments])
        ssh = session.ssh(host, command)
        return _foreground([ssh[0], "-t", *ssh[1:]] if sys.stdin.isatty() else ssh)
    finally:
        session.run(host, f"rm -rf {folder}")


def _foreground(command: Sequence[str], variables: dict[str, str] | None = None) -> int:
    """Exit status of an interactive program. Ctrl-C is its own: psql cancels the query and goes on."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run(command, env=variables).returncode
    finally:
        signal.signal(signal.SIGINT, before)
