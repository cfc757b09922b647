"""Two migrations of one database at once: one waits, both succeed."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from db import migrate
from db.indexes import invalid_indexes
from environment.products import Product
from migrations import session
from tests.db.fixtures import only
from tests.db.history import MIGRATORS, History
from tools.scratch_server import Server, wait_for

product = only("jeex_idea")
TAKEN = f"SELECT pg_try_advisory_lock({session.LOCK})"


def test_two_at_once_take_turns(server: Server, product: Product, history: History) -> None:
    """JEEX-25: both wait for the same lock, one migrates, the other finds nothing left to do."""
    history.add("table", "CREATE TABLE one (id int)")
    with ThreadPoolExecutor(1) as pool, server.connect(product.name) as other:
        other.execute(TAKEN.encode())
        other.commit()
        first = history.alembic("upgrade", "head")
        second = pool.submit(migrate.upgrade, product, history.url)
        # A session that has only begun has not asked for the lock, and would get it without a wait.
        asked = f"{MIGRATORS} AND query LIKE '%pg_try_advisory_lock%' AND state = 'idle'"
        wait_for("both to wait", lambda: len(server.execute(asked)) == 2)
        assert server.execute("SELECT to_regclass('one')", product.name) == [(None,)]
        other.execute(b"SELECT pg_advisory_unlock_all()")
        other.commit()
        second.result(timeout=30)
        _, said = first.communicate(timeout=30)
    assert first.returncode == 0, said
    assert "waiting for another migration" in said
    assert history.at() == "table"


def test_two_at_once_take_turns_over_a_concurrent_index(server: Server, product: Product, history: History) -> None:
    """JEEX-25, PLAT-27: whoever waits holds no snapshot, for which the other's index would wait in turn."""
    history.add("table", "CREATE TABLE one (id int)")
    migrate.upgrade(product, history.url)
    history.add("index", "concurrently.create_index('one_id', 'one (id)')")
    with ThreadPoolExecutor(1) as pool, server.connect(product.name) as old:
        old.execute(b"INSERT INTO one VALUES (1)")
        first = history.alembic("upgrade", "head")
        building = "SELECT pid FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for writers%'"
        ((builder,),) = wait_for("the index to wait for the old transaction", lambda: server.execute(building))
        second = pool.submit(migrate.upgrade, product, history.url)
        wait_for("the second to wait", lambda: server.execute(f"{MIGRATORS} AND pid <> {builder} AND state = 'idle'"))
        with server.connect(product.name) as connection:
            assert invalid_indexes(connection) == []  # it is only being built
        old.commit()
        second.result(timeout=30)
        _, said = first.communicate(timeout=30)
    assert first.returncode == 0, said
    assert history.at() == "index"
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'one_id'::regclass"
    assert server.execute(valid, product.name) == [(True,)]


def test_waiting_ends_and_names_the_holder(server: Server, product: Product, history: History) -> None:
    """After its time the second leaves, and says by whom the lock is held."""
    before = history.at()
    history.add("table", "CREATE TABLE one (id int)")
    with server.connect(product.name) as other:
        other.execute(TAKEN.encode())
        with pytest.raises(migrate.MigrationError, match=rf"held by postgres, pid {other.info.backend_pid},"):
            migrate.upgrade(product, history.url, wait=0.1)
    assert history.at() == before


def test_a_branched_history_is_joined(product: Product, history: History) -> None:
    """JEEX-26: two revisions after the same one are refused; `alembic merge heads` reconciles them, and both are applied."""
    name = history.add("mine", "CREATE TABLE mine (id int)")
    text = (history.versions / f"{name}.py").read_text()
    (history.versions / "theirs.py").write_text(text.replace("mine", "theirs"))
    with pytest.raises(migrate.MigrationError, match=r"2 heads \((mine, theirs|theirs, mine)\).*Nothing was changed"):
        migrate.upgrade(product, history.url)
    merged = history.alembic("merge", "heads", "-m", "join", "--rev-id", "joined")
    _, said = merged.communicate(timeout=30)
    assert merged.returncode == 0, said
    migrate.upgrade(product, history.url)
    assert history.at() == "joined"
