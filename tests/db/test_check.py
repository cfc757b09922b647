"""What `./keel db check` finds, each aspect once broken, and the release gate."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from db import check, migrate, release
from environment.products import Product, catalogue
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("jeex_idea")  # one stands for all; test_documents.py and test_migrations.py look at each


def test_at_head_there_is_nothing_to_find(product: Product, at_head: str) -> None:
    """PLAT-29, JEEX-26: no difference, in no aspect."""
    assert check.everything(product, at_head) == []


BROKEN = {
    "ALTER TABLE users ADD extra text": {"models", "catalogue"},
    "DROP INDEX idx_exports_project": {"models", "catalogue"},
    "GRANT SELECT ON users TO keel_monitor": {"functions", "catalogue"},
    "ALTER POLICY projects_owner ON projects USING (true)": {"functions", "catalogue"},
    "UPDATE alembic.alembic_version SET version_num = '002_agent_executions_exports'": {"revision"},
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_exports_project'::regclass": {
        "indexes",
        "catalogue",
    },
}


@pytest.mark.parametrize("statement", BROKEN)
def test_each_aspect_is_told(server: Server, product: Product, fresh: str, statement: str) -> None:
    """PLAT-29, JEEX-26: what somebody did by hand is found by the aspects that look at it."""
    server.execute(statement, product.name)
    found = {finding.aspect for finding in check.everything(product, fresh)}
    assert BROKEN[statement] <= found <= BROKEN[statement] | {"models"}


def test_several_heads_are_a_finding(product: Product, at_head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """JEEX-26: a branched history is told, not raised."""

    def branched(_: Product) -> str:
        raise migrate.MigrationError("2 heads")

    monkeypatch.setattr(migrate, "head", branched)
    assert check.everything(product, at_head) == [check.Finding("heads", "2 heads")]


def test_where_the_stack_holds_it_it_is_right(product: Product, empty: str) -> None:
    """RIQ-26: a database held at an older revision is not compared with the head's models."""
    migrate.upgrade(product, empty, target="002")
    assert check.everything(product, empty, held="002") == []
    assert [finding.aspect for finding in check.everything(product, empty)] == ["revision"]


@pytest.fixture
def truncated() -> Iterator[Product]:
    """A product whose record says that a column was cut off."""
    yield catalogue()["jeex_idea"].model_copy(
        update={"renamed": {"users": {"name": "full_name"}, "exports": {"x": "y"}}}
    )


def test_no_release_with_a_truncated_name(server: Server, truncated: Product, at_head: str) -> None:
    """RIQ-26: the gate names each column with what it should be called, and passes without one."""
    with server.connect(truncated.name) as connection:
        assert release.truncated(truncated, connection) == ["column users.name is truncated, its name is full_name"]
        with pytest.raises(release.ReleaseRefused, match="1 name"):
            release.admit(truncated, connection)
        connection.execute(b"ALTER TABLE users RENAME name TO full_name")
        release.admit(truncated, connection)
        connection.rollback()


def test_the_folder_has_no_other_record(product: Product) -> None:
    """PLAT-14: one record per product, beside its models."""
    records = {path.parent.name for path in Path(product.folder.parent).glob("*/catalogue.txt")}
    assert records == set(catalogue())
