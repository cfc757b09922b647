"""Every product's history one revision at a time, with rows in it; and by hand, in any order."""

import os
import random

import pytest

from db import migrate, repeatable
from environment.products import Product
from keel_host import catalogue
from tests.db import steps
from tests.db.fixtures import Alembic, recreated
from tests.db.lint import reason_of
from tools.scratch_server import Server

Schemas = dict[str | None, dict[str, str]]


@pytest.fixture(scope="module")
def schemas(server: Server, product: Product) -> Schemas:
    """Revision → the schema it makes on the way up, in a database without rows."""
    url = recreated(server, product)
    return {None: steps.schema(server, product)} | {at: steps.schema(server, product) for at in steps.up(product, url)}


def test_each_step_down_takes_back_its_own_and_nothing_else(
    server: Server, product: Product, schemas: Schemas, empty: str
) -> None:
    """PLAT-27: from head to nothing with the demo rows: schema as on the way up, rows that survive unchanged."""
    migrate.upgrade(product, empty)
    migrate.seed(product, empty, "demo", production=False)
    before = steps.rows(server, product)
    assert any(steps.count(before).values())
    for at in steps.down(product, empty):
        after = steps.rows(server, product)
        assert steps.lost(before, after) == [], f"downgrade to {at}"
        assert catalogue.differences(schemas[at], steps.schema(server, product)) == [], f"downgrade to {at}"
        before = after
    migrate.upgrade(product, empty)
    assert migrate.differences(product, empty) == []
    assert repeatable.drift(product, empty) == []


def test_each_step_up_carries_the_rows(server: Server, product: Product, schemas: Schemas, empty: str) -> None:
    """PLAT-27: demo rows, inserted as early as there is room for them, arrive at head whole.

    A table with rows is not written anew, which closes it as long as that takes, unless the revision says why.
    """
    seeds = steps.Seeds(product)
    reasons = {revision.revision: reason_of(revision) for revision in steps.revisions(product)}
    before, files = steps.rows(server, product), steps.files(server, product)
    for at in steps.up(product, empty):
        assert steps.lost(before, steps.rows(server, product)) == [], f"upgrade to {at}"
        assert catalogue.differences(schemas[at], steps.schema(server, product)) == [], f"upgrade to {at}"
        if not reasons[at]:
            assert steps.rewritten(server, product, files) == [], f"upgrade to {at}, without a line `Lock: why`"
        seeds.plant(server)
        before, files = steps.rows(server, product), steps.files(server, product)
    assert seeds.left == []
    arrived = steps.count(before)
    migrate.seed(product, empty, "demo", production=False)
    assert steps.count(steps.rows(server, product)) == arrived
    assert migrate.differences(product, empty) == []
    assert repeatable.drift(product, empty) == []


def test_by_hand_in_any_order(server: Server, product: Product, schemas: Schemas, empty: str, alembic: Alembic) -> None:
    """PLAT-27, CF-24: up and down by one, to a name, to the ends: always the schema of the revision that is told."""
    seed = int(os.environ.get("KEEL_TEST_SEED") or random.randrange(10**6))
    print(f"KEEL_TEST_SEED={seed} walks the same way again")
    chance, names, at = random.Random(seed), [revision.revision for revision in steps.revisions(product)], 0
    for _ in range(6):
        to = chance.choice([step for step in range(len(names) + 1) if step != at])
        target = {0: "base", len(names): "head", at + 1: "+1", at - 1: "-1"}.get(to) or names[to - 1]
        alembic("-n", product.name, "upgrade" if to > at else "downgrade", target, url=empty)
        at = to
        revision = names[at - 1] if at else None
        assert migrate.current(product, empty) == revision
        assert catalogue.differences(schemas[revision], steps.schema(server, product)) == []
    migrate.upgrade(product, empty)
    assert migrate.differences(product, empty) == []
    assert repeatable.drift(product, empty) == []


def test_a_stamp_changes_the_version_only(
    server: Server, product: Product, schemas: Schemas, empty: str, alembic: Alembic
) -> None:
    """PLAT-29, JEEX-26: whoever stamps an empty database gets no table and no policy, and is told so by the next run."""
    alembic("-n", product.name, "stamp", "head", url=empty)
    assert migrate.current(product, empty) == migrate.head(product)
    assert steps.schema(server, product) == schemas[None]
    with pytest.raises(migrate.MigrationError, match="does not exist"):
        migrate.upgrade(product, empty)
    alembic("-n", product.name, "stamp", "base", url=empty)
    migrate.upgrade(product, empty)
    assert migrate.differences(product, empty) == []
