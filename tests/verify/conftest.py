"""The verification suite: takes the manifest of a running environment and nothing else (PLAT-49).

`KEEL_CONTEXT` names the file that `ops.hosts.session.export` wrote; without it nothing here is collected. `KEEL_REPORT` names
the file for `ops.steps.verification`. A test takes `host`, `server`, `edge`, … and runs once for each; where the topology
has none of them, the test does not exist (`ops.steps.checks`). Whatever a test writes it rolls back.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from environment.manifest import Endpoints, HostEntry, Manifest
from environment.names import MONITOR
from environment.products import Product
from environment.types import Group
from ops.hosts.session import Session, Superuser, adopt
from ops.steps.checks import EACH, ONLY_WITH, title
from tests.verify.databases import Databases
from tests.verify.look import Look
from tests.verify.pooler import Pooler
from tests.verify.report import Report
from tests.verify.tunnels import Tunnels

CONTEXT = os.environ.get("KEEL_CONTEXT")
collect_ignore_glob = [] if CONTEXT else ["test_*.py"]

SESSION = adopt(Path(CONTEXT)) if CONTEXT else None


def pytest_configure(config: pytest.Config) -> None:
    """Write the report that `ops.steps.verification` asked for."""
    if path := os.environ.get("KEEL_REPORT"):
        config.pluginmanager.register(Report(Path(path)), "keel-report")


def pytest_pycollect_makeitem(name: str, obj: object) -> list[pytest.Item] | None:
    """Leave a test out whose subject this environment does not have."""
    if SESSION is None or not name.startswith("test_") or not inspect.isfunction(obj):
        return None
    takes = inspect.signature(obj).parameters
    absent = [each for each in EACH if each in takes and not EACH[each](SESSION.manifest)]
    absent += [what for what in ONLY_WITH if what in takes and not ONLY_WITH[what](SESSION.manifest)]
    return [] if absent else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each of its subjects."""
    if SESSION is None:
        return
    for name, subjects in EACH.items():
        if name in metafunc.fixturenames:
            found = subjects(SESSION.manifest)
            metafunc.parametrize(name, found, ids=map(title, found), indirect=True)


def _subject(request: pytest.FixtureRequest) -> Any:
    return request.param


# Named fixtures, so that testinfra's own `host` is not asked for.
host = pytest.fixture(_subject, name="host")
server = pytest.fixture(_subject, name="server")
archiving = pytest.fixture(_subject, name="archiving")
delayed = pytest.fixture(_subject, name="delayed")
store = pytest.fixture(_subject, name="store")
edge = pytest.fixture(_subject, name="edge")
cache = pytest.fixture(_subject, name="cache")
product = pytest.fixture(_subject, name="product")
listed = pytest.fixture(_subject, name="listed")
secured = pytest.fixture(_subject, name="secured")
tenanted = pytest.fixture(_subject, name="tenanted")
repository = pytest.fixture(_subject, name="repository")
uuid = pytest.fixture(_subject, name="uuid")


@pytest.fixture(scope="session")
def session() -> Session:
    """The session with the environment."""
    assert SESSION is not None
    return SESSION


@pytest.fixture(scope="session")
def manifest(session: Session) -> Manifest:
    """The environment's manifest."""
    return session.manifest


@pytest.fixture(scope="session")
def look(session: Session) -> Iterator[Look]:
    """Facts from inside the hosts."""
    with closing(Look(session)) as opened:
        yield opened


@pytest.fixture(scope="session")
def tunnels(session: Session) -> Tunnels:
    """Ways to the services' addresses."""
    return Tunnels(session)


@pytest.fixture(scope="session")
def socket(session: Session) -> Iterator[Superuser]:
    """The primary's socket."""
    with session.superuser() as opened:
        yield opened


@pytest.fixture(scope="session")
def superuser(socket: Superuser) -> Iterator[psycopg.Connection[Any]]:
    """The database `postgres` as postgres: what no product can write to."""
    with closing(socket.connect("postgres")) as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture(scope="session")
def looker(socket: Superuser) -> Iterator[Databases]:
    """The products' databases as the login that can only look (decision 15)."""
    with closing(Databases(socket.look)) as databases:
        yield databases


@pytest.fixture(scope="session")
def monitor(socket: Superuser) -> Iterator[Databases]:
    """The same as the login that sees statistics."""
    with closing(Databases(partial(socket.look, user=MONITOR))) as databases:
        yield databases


@pytest.fixture(scope="session")
def replicas(look: Look, manifest: Manifest) -> tuple[HostEntry, ...]:
    """The database hosts that replicate now."""
    return tuple(host for host in manifest.carrying(Group.POSTGRES) if look.server(host).recovering)


@pytest.fixture(scope="session")
def readers(replicas: tuple[HostEntry, ...], manifest: Manifest) -> tuple[HostEntry, ...]:
    """Those that clients are led to, and that know what the primary knows."""
    return tuple(host for host in replicas if host.name not in manifest.postgres.apply_delay)


@pytest.fixture(scope="session")
def contained() -> None:
    """Asked for by checks of hosts that are containers."""


@pytest.fixture(scope="session")
def published(manifest: Manifest) -> Endpoints:
    """The ports that containers publish on the controller's machine."""
    return manifest.endpoints


@pytest.fixture(scope="session")
def jeex_idea(manifest: Manifest) -> Product:
    """JEEX Idea, for the tests of what only its seed says."""
    return manifest.products["jeex_idea"].product


@pytest.fixture(scope="session")
def pooler(session: Session, tunnels: Tunnels) -> Pooler:
    """Connections through PgBouncer."""
    return Pooler(session, tunnels)


@pytest.fixture(scope="session")
def primary(session: Session) -> Iterator[tuple[str, int]]:
    """Address and port of the primary, past the pooler."""
    with session.direct() as reached:
        yield reached


@pytest.fixture(scope="session")
def direct(session: Session, primary: tuple[str, int]) -> Callable[[Product], str]:
    """The migrator's URL of a product, past the pooler."""
    return lambda product: session.url(product.migrator_role, product.name, *primary)
