"""A migration that fails or is killed leaves the database as it was."""

import psycopg
import pytest

from db import migrate
from environment.products import Product
from migrations import session
from tests.db.fixtures import only
from tests.db.history import MIGRATORS, History
from tools.scratch_server import Server

product = only("jeex_idea")  # the machinery is shared; revisions of the test come after this history


@pytest.fixture
def two_indexes(history: History) -> History:
    """A revision is done, the next is to come: an index on each of the tables that the first one made."""
    history.add("tables", "CREATE TABLE one (id int)", "CREATE TABLE two (id int)")
    migrate.upgrade(history.product, history.url)
    history.add("indexes", "CREATE INDEX one_id ON one (id)", "CREATE INDEX two_id ON two (id)")
    return history


def indexes(server: Server, product: Product) -> list[str]:
    """Those of the second revision that are there."""
    found = server.execute("SELECT indexname FROM pg_indexes WHERE indexname IN ('one_id', 'two_id')", product.name)
    return sorted(name for (name,) in found)


def test_a_failing_revision_changes_nothing(server: Server, product: Product, history: History) -> None:
    """JEEX-25: those before it stay, of itself nothing does; the error tells all of it."""
    history.add("tables", "CREATE TABLE one (id int)", "CREATE TABLE two (id int)")
    history.add("indexes", "CREATE INDEX one_id ON one (id)", "CREATE INDEX two_id ON two (id)")
    server.execute("CREATE TABLE two_id ()", product.name)  # in the way of the last index
    with pytest.raises(migrate.MigrationError) as caught:
        migrate.upgrade(product, history.url)
    message = str(caught.value)
    for part in ("jeex_idea: revision indexes was not applied", "the database is at tables", "run again", "by hand"):
        assert part.lower() in message.lower()
    assert 'relation "two_id" already exists' in message
    assert indexes(server, product) == []
    assert history.at() == "tables"

    server.execute("DROP TABLE two_id", product.name)
    migrate.upgrade(product, history.url)
    assert indexes(server, product) == ["one_id", "two_id"]
    assert history.at() == "indexes"


def test_a_lock_is_not_waited_for_long(
    server: Server, product: Product, two_indexes: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration behind a long transaction gives up instead of blocking everybody behind itself."""
    assert "SET lock_timeout = '5s'" in session.settings(product)
    monkeypatch.setattr(session, "LOCK_TIMEOUT", "100ms")
    with server.connect(product.name) as other:
        other.execute(b"LOCK TABLE two IN ROW EXCLUSIVE MODE")
        with pytest.raises(migrate.MigrationError, match="lock timeout"):
            migrate.upgrade(product, two_indexes.url)
    assert two_indexes.at() == "tables"
    assert indexes(server, product) == []


def test_a_killed_migration_changes_nothing(server: Server, product: Product, two_indexes: History) -> None:
    """JEEX-25: SIGKILL in the middle of a revision; the next run finishes the work."""
    with server.connect(product.name) as other:
        other.execute(b"LOCK TABLE two IN ROW EXCLUSIVE MODE")
        two_indexes.killed(server, f"{MIGRATORS} AND wait_event_type = 'Lock'")
    assert indexes(server, product) == []
    assert two_indexes.at() == "tables"
    migrate.upgrade(product, two_indexes.url)
    assert indexes(server, product) == ["one_id", "two_id"]


def test_the_settings_of_a_revision_end_with_it(server: Server, product: Product, history: History) -> None:
    """A concurrent index waits for locks without a limit; the revision after it, of the same run, does not."""
    history.add("table", "CREATE TABLE one (id int)")
    history.add("index", "concurrently.create_index('one_id', 'one (id)')")
    told = "concat_ws(' ', current_setting('lock_timeout'), current_setting('statement_timeout'))"
    history.add("told", f"CREATE TABLE told AS SELECT {told} AS settings")
    migrate.upgrade(product, history.url)
    assert server.execute("SELECT settings FROM told", product.name) == [("5s 0",)]


def test_a_database_of_a_newer_release_is_left_alone(server: Server, product: Product, history: History) -> None:
    """A revision this checkout does not know is named."""
    server.execute("UPDATE alembic.alembic_version SET version_num = '999'", product.name)
    with pytest.raises(migrate.MigrationError, match="the database is at revision 999, which is not in this"):
        migrate.upgrade(product, history.url)


def test_a_database_that_does_not_answer_is_told(server: Server, product: Product) -> None:
    """No traceback of a driver."""
    gone = server.url(product).replace(f":{server.port}/", ":1/")
    with pytest.raises(migrate.MigrationError, match="the revision cannot be read"):
        migrate.upgrade(product, gone)
    with pytest.raises(migrate.MigrationError, match="Connection refused"):
        migrate.current(product, gone)


def test_rows_that_row_level_security_would_hide_are_an_error(server: Server, product: Product, empty: str) -> None:
    """PLAT-19: as the owner a data step fails instead of doing nothing; the migrator reaches all rows."""
    migrate.upgrade(product, empty)
    migrate.seed(product, empty, "demo", production=False)
    with server.connect(product.name, product.migrator_role) as connection:
        for statement in session.settings(product):
            connection.execute(statement.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute(b"UPDATE projects SET language = 'fr'")
        connection.execute(b"SET ROLE NONE")
        assert connection.execute(b"UPDATE projects SET language = 'fr'").rowcount == 2


@pytest.mark.parametrize(
    ("downgrade", "why"),
    [
        ("raise NotImplementedError('rows would go')", "rows would go"),
        ("op.execute('DROP TABLE nothing')", "does not exist"),
    ],
)
def test_a_way_down_that_fails_says_where_the_database_is(history: History, downgrade: str, why: str) -> None:
    """PLAT-27: what went down before it stays down; the one that failed is there."""
    below = history.at()
    history.add("kept", "CREATE TABLE kept (id int)", downgrade=downgrade)
    history.add("gone", "CREATE TABLE gone (id int)", downgrade="op.execute('DROP TABLE gone')")
    migrate.upgrade(history.product, history.url)
    with pytest.raises(migrate.MigrationError, match=f"{why}.* is at kept") as failed:
        migrate.downgrade(history.product, history.url, below or "")
    assert "--how restore" in str(failed.value)
    assert history.at() == "kept"
