"""One server for all database tests; databases are made anew for a test (`empty`, `fresh`) or a module (`at_head`).

A history is migrated once for each product: its database at head is kept as a template, and copied from then on.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.config import main as alembic_main

from db import migrate, undeclared
from db.spec import Migrated
from environment.products import ROOT, Product, catalogue
from tests.db.history import History
from tools import scratch_images
from tools.scratch_server import Server, provisioned, running, spec_of


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/db --postgres 15`."""
    parser.addoption(
        "--postgres",
        type=int,
        choices=scratch_images.MAJORS,
        default=scratch_images.DEFAULT,
        help=f"major version of the scratch server of tests/db (default {scratch_images.DEFAULT})",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Markers of the database tests."""
    config.addinivalue_line("markers", "since(major): what the test is about came with this major version")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the chosen major cannot have; pytest counts it as deselected."""
    major = chosen_major(config)
    beyond = [item for item in items if any(mark.args[0] > major for mark in item.iter_markers("since"))]
    if beyond:
        config.hook.pytest_deselected(items=beyond)
        items[:] = [item for item in items if item not in beyond]


def chosen_major(config: pytest.Config) -> int:
    """Of the scratch server."""
    return int(config.getoption("--postgres"))


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A running server without anything of Keel in it."""
    with running(chosen_major(request.config)) as server, pytest.MonkeyPatch.context() as patch:
        # The templates of these tests are no databases that a plan has to speak of.
        templates = {template(product) for product in catalogue().values()}
        patch.setattr(undeclared, "OF_THE_CLUSTER", undeclared.OF_THE_CLUSTER | templates)
        yield server


def template(product: Product) -> str:
    """The database that is copied where a test wants the product at head."""
    return f"{product.name}_at_head"


@pytest.fixture(scope="module", params=catalogue())
def product(request: pytest.FixtureRequest) -> Product:
    """Every product in turn."""
    return catalogue()[request.param]


def only(name: str) -> Any:
    """For a module about the machinery, or about one product: `product = only("jeex_idea")`."""

    @pytest.fixture(scope="module", params=[name])
    def product(request: pytest.FixtureRequest) -> Product:
        return catalogue()[request.param]

    return product


def recreated(server: Server, product: Product) -> str:
    """The migrator's URL of a database that is made anew."""
    server.execute(f"DROP DATABASE IF EXISTS {product.name} WITH (FORCE)")
    provisioned(server, spec_of())
    return server.url(product)


@pytest.fixture
def empty(server: Server, product: Product) -> str:
    """The migrator's URL of a new database without a revision."""
    return recreated(server, product)


def copied(server: Server, product: Product) -> str:
    """The migrator's URL of a new database at head with its reference rows. The first one is migrated, and kept."""
    kept = template(product)
    if server.execute(f"SELECT 1 FROM pg_database WHERE datname = '{kept}'"):
        server.execute(f"DROP DATABASE IF EXISTS {product.name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {product.name} TEMPLATE {kept} OWNER {product.owner_role}")
        url = server.url(product)
    else:
        url = recreated(server, product)
        migrate.upgrade(product, url)
        migrate.seed(product, url, "reference", production=False)
        server.execute(f"CREATE DATABASE {kept} TEMPLATE {product.name} ALLOW_CONNECTIONS false")
    provisioned(server, spec_of(migrated=Migrated.HEAD))
    return url


def owner(server: Server, product: Product) -> "psycopg.Connection[Any]":
    """A session of the migrator, become the owner."""
    connection = server.connect(product.name, product.migrator_role)
    connection.execute(f"set role {product.owner_role}".encode())
    connection.commit()
    return connection


@pytest.fixture
def fresh(server: Server, product: Product) -> str:
    """The migrator's URL of a new database at head, with its reference rows."""
    return copied(server, product)


@pytest.fixture(scope="module")
def at_head(server: Server, product: Product) -> str:
    """The same for all tests of one module, which leave it as it was."""
    return copied(server, product)


@pytest.fixture
def history(product: Product, fresh: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """For tests of the machinery: a database at the product's head, to which revisions of the test can be added."""
    history = History(product, fresh, tmp_path)
    monkeypatch.setattr(migrate, "INI", history.ini)
    return history


Alembic = Callable[..., str]


@pytest.fixture
def alembic(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Alembic:
    """Alembic's own command line with the URL in the environment; returns what it printed. Raises SystemExit."""
    monkeypatch.setattr("logging.config.fileConfig", lambda *_, **__: None)  # pytest has its own logging

    def run(*arguments: str, url: str = "") -> str:
        monkeypatch.setenv("KEEL_DATABASE_URL", url)
        alembic_main(["-c", str(ROOT / "alembic.ini"), *arguments])
        return capsys.readouterr().out

    return run
