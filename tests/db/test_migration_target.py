"""A database that is held at an older revision."""

import pytest
from alembic.script import ScriptDirectory

from db import migrate, repeatable
from environment.products import Product, short
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("jeex_idea")


@pytest.fixture
def revisions(product: Product) -> list[str]:
    """The product's revisions, the first one first."""
    script = ScriptDirectory.from_config(migrate.config(product))
    return [revision.revision for revision in script.walk_revisions()][::-1]


def test_it_goes_no_further_than_its_target(server: Server, product: Product, empty: str, revisions: list[str]) -> None:
    """RIQ-22, RIQ-26: the revision and not the next; the .sql files, which belong to head, only when head is reached."""
    held = revisions[0]
    for _ in range(2):
        migrate.upgrade(product, empty, target=held)
        assert migrate.current(product, empty) == held
    assert server.execute("SELECT policyname FROM pg_policies", product.name) == []
    migrate.upgrade(product, empty, target=revisions[-1])
    assert migrate.current(product, empty) == migrate.head(product)
    assert repeatable.drift(product, empty) == []


def test_a_number_in_front_is_enough(product: Product, empty: str, revisions: list[str]) -> None:
    """RIQ-26: what a stack file or a hand wrote as 002 is the revision 002_…, wherever it is compared."""
    migrate.upgrade(product, empty, target=short(revisions[1]))
    assert migrate.current(product, empty) == revisions[1]
    migrate.upgrade(product, empty, target=short(revisions[1]))
    assert [migrate.resolve(product, short(one)) for one in revisions] == revisions
    assert migrate.resolve(product, None) == revisions[-1]


def test_a_database_beyond_its_target_is_left_alone(product: Product, at_head: str, revisions: list[str]) -> None:
    """A downgrade takes data away, so nobody gets one from a setting: the error has the command."""
    with pytest.raises(migrate.MigrationError) as caught:
        migrate.upgrade(product, at_head, target=revisions[0])
    for part in (f"at revision {revisions[-1]}, beyond {revisions[0]}", f"-n {product.name} downgrade {revisions[0]}"):
        assert part in str(caught.value)
    assert migrate.current(product, at_head) == revisions[-1]
    assert migrate.differences(product, at_head) == []


def test_an_unknown_target_is_refused_with_those_there_are(product: Product, empty: str, revisions: list[str]) -> None:
    """A mistyped setting, also one that several begin with."""
    with pytest.raises(migrate.MigrationError) as caught:
        migrate.upgrade(product, empty, target="00")
    assert "no revision 00. Nothing was changed" in str(caught.value)
    assert ", ".join(revisions) in str(caught.value)
    assert migrate.current(product, empty) is None
