"""An index whose concurrent build did not end: named, and repaired by the next run."""

import pytest

from db import migrate
from db.indexes import invalid_indexes
from environment.names import MONITOR
from environment.products import Product
from tests.db.fixtures import only
from tests.db.history import History
from tools.scratch_server import Server

product = only("jeex_idea")

OLD = {  # what another session does, and in which phase the build waits for it
    "a writer": ("INSERT INTO one VALUES (2)", "waiting for writers before build"),
    "a reader": ("SELECT count(*) FROM projects", "waiting for old snapshots"),
}


def invalid(server: Server, product: Product) -> list[str]:
    """As the monitor sees them."""
    with server.connect(product.name, MONITOR) as connection:
        return invalid_indexes(connection)


@pytest.mark.parametrize("who", OLD)
def test_a_killed_build_is_named_and_repaired(server: Server, product: Product, history: History, who: str) -> None:
    """JEEX-25, PLAT-27: SIGKILL while it waits leaves the version and an INVALID index, and no lock behind it."""
    statement, phase = OLD[who]
    history.add("table", "CREATE TABLE one (id int)", "INSERT INTO one VALUES (1)")
    migrate.upgrade(product, history.url)
    history.add("index", "concurrently.create_index('one_id', 'one (id)')")
    with server.connect(product.name) as old:
        old.execute(b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute(statement.encode())
        history.killed(server, f"SELECT pid FROM pg_stat_progress_create_index WHERE phase = '{phase}'")
        (sentence,) = invalid(server, product)
        assert sentence.startswith("index one_id of table one is INVALID")
        assert "Migrate again" in sentence
        assert history.at() == "table"
    migrate.upgrade(product, history.url)
    assert history.at() == "index"
    assert invalid(server, product) == []
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'one_id'::regclass"
    assert server.execute(valid, product.name) == [(True,)]


def test_what_a_reindex_leaves_is_to_be_dropped(server: Server, product: Product, at_head: str) -> None:
    """Building such an index anew would make a second one of the same columns."""
    with server.connect(product.name) as connection:
        connection.execute(b"SET LOCAL allow_system_table_mods = on")
        connection.execute(b"CREATE INDEX idx_exports_project_ccnew ON exports (project_id)")
        connection.execute(
            b"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_exports_project_ccnew'::regclass"
        )
        (sentence,) = invalid_indexes(connection)
        connection.rollback()
    assert "by hand: DROP INDEX CONCURRENTLY idx_exports_project_ccnew" in sentence
    assert invalid(server, product) == []
