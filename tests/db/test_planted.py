"""What a product's login can plant in its database, and that nobody with more power runs it (W0)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from db import migrate
from db.spec import Migrated
from environment.products import Product
from tests.db.fixtures import owner
from tests.planted import planting
from tools.scratch_server import Server, provisioned, spec_of

HEAD = spec_of(migrated=Migrated.HEAD)
KINDS = planting.KINDS


@pytest.fixture(scope="module")
def planted(server: Server, product: Product, at_head: str) -> Iterator[Product]:
    """A product whose owner has planted one of each kind; gone after the module."""
    migrate.seed(product, at_head, "demo", production=False)
    with owner(server, product) as connection:
        planting.plant(connection, product, product.migrator_role, planting.target(connection, product))
    yield product
    server.execute(f"DROP DATABASE {product.name} WITH (FORCE)")
    provisioned(server, spec_of())


def test_every_kind_is_spoken_of(server: Server) -> None:
    """W0: each column of pg_catalog that holds code, and each catalogue without one, is planted, refused or said to hold none."""
    with server.connect() as connection:
        there = planting.slots(connection)
    silent = there - planting.spoken_of()
    assert not silent, f"say in tests/planted/kinds.yaml how an owner plants {sorted(silent)}, or why he cannot"
    assert planting.spoken_of() <= there | planting.LATER, "of what no longer exists"


def test_other_logins_plant_nothing(server: Server, product: Product, at_head: str) -> None:
    """W0, PLAT-09: application, worker, reader, and the migrator as himself, create nothing at all."""
    provisioned(server, HEAD)
    statements = list(planting.separately(product, product.app_role))
    for role in product.login_roles:
        with server.connect(product.name, role) as connection:
            assert not [*planting.accepted(connection, statements)], role


def test_an_owner_plants_them(server: Server, planted: Product) -> None:
    """The test of the test: each column that kinds.yaml says it fills holds something planted."""
    with server.connect(planted.name) as connection:
        empty = [slot for entry in KINDS["planted"] for slot in entry["fills"] if not planting.filled(connection, slot)]
    assert not empty


def test_what_an_owner_cannot_write(server: Server, planted: Product) -> None:
    """W0: event triggers, operator classes, base types, languages, wrappers and the like are refused."""
    target = planting.TABLE, "said"
    with owner(server, planted) as connection:
        connection.autocommit = True
        for entry in KINDS["refused"]:
            with pytest.raises(planting.REFUSED):
                connection.execute(planting.statement(entry, planted, planted.migrator_role, target))


def test_nobody_with_power_runs_them(server: Server, planted: Product) -> None:
    """W0, PLAT-09: what `up` and drift do to roles and databases, as they were planted and after it is repaired."""
    with server.connect() as connection:
        before = planting.powers(connection)
    since = server.logged
    for _ in range(2):
        provisioned(server, HEAD)
    ran = planting.evaluations(server.log(since))
    with server.connect() as connection:
        assert planting.powers(connection) == before
    assert not [str(each) for each in ran if each.power or each.gains]
