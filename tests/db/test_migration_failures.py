"""A migration that fails, is killed or meets another one leaves the database as it was."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic import command

from db import migrate
from environment.products import ROOT, Product
from migrations import session
from tests.db.conftest import only
from tests.db.server import Server, wait_for

MIGRATORS = f"SELECT pid FROM pg_stat_activity WHERE application_name = '{session.NAME}'"


product = only("jeex_idea")  # the machinery is shared; this history has three revisions


@pytest.fixture
def before_last(product: Product, empty: str) -> str:
    """A database to which the last revision is still to come."""
    command.upgrade(migrate.config(product, empty), "002")
    return empty


def indexes(server: Server, product: Product) -> list[tuple[str]]:
    """What revision 003 is about."""
    return server.execute("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'idx_%'", product.name)


def test_a_failing_revision_changes_nothing(server: Server, product: Product, empty: str) -> None:
    """JEEX-25: those before it stay, of itself nothing does; the error tells all of it."""
    server.execute("CREATE TABLE idx_users_email ()", product.name)  # in the way of the last index of 003
    with pytest.raises(migrate.MigrationError) as caught:
        migrate.upgrade(product, empty)
    message = str(caught.value)
    for part in ("jeex_idea: revision 003 was not applied", "the database is at 002", "run again", "by hand"):
        assert part.lower() in message.lower()
    assert 'relation "idx_users_email" already exists' in message
    assert indexes(server, product) == []
    assert migrate.current(product, empty) == "002"

    server.execute("DROP TABLE idx_users_email", product.name)
    migrate.upgrade(product, empty)
    assert migrate.differences(product, empty) == []


def test_a_lock_is_not_waited_for_long(
    server: Server, product: Product, before_last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration behind a long transaction gives up instead of blocking everybody behind itself."""
    assert "SET lock_timeout = '5s'" in session.settings(product)
    monkeypatch.setattr(session, "LOCK_TIMEOUT", "100ms")
    with server.connect(product.name) as other:
        other.execute(b"LOCK TABLE exports IN ROW EXCLUSIVE MODE")
        with pytest.raises(migrate.MigrationError, match="lock timeout"):
            migrate.upgrade(product, before_last)
    assert migrate.current(product, before_last) == "002"


def test_a_killed_migration_changes_nothing(server: Server, product: Product, before_last: str) -> None:
    """JEEX-25: SIGKILL in the middle of a revision; the next run finishes the work."""
    with server.connect(product.name) as other:
        other.execute(b"LOCK TABLE exports IN ROW EXCLUSIVE MODE")  # 003 gets as far as its index on exports
        alembic = [str(Path(sys.executable).with_name("alembic")), "-n", product.name, "upgrade", "head"]
        environment = {**os.environ, "KEEL_DATABASE_URL": before_last}
        process = subprocess.Popen(alembic, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        wait_for("003 to wait", lambda: server.execute(f"{MIGRATORS} AND wait_event_type = 'Lock'"))
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for("its session to end", lambda: not server.execute(MIGRATORS))
    assert indexes(server, product) == []
    assert migrate.current(product, before_last) == "002"
    migrate.upgrade(product, before_last)
    assert migrate.differences(product, before_last) == []


def test_two_at_once_take_turns(server: Server, product: Product, empty: str) -> None:
    """JEEX-25: both wait for the same lock, one migrates, the other finds nothing left to do."""
    with ThreadPoolExecutor(1) as pool, server.connect(product.name) as other:
        other.execute(b"SELECT pg_advisory_lock(%s)", [session.LOCK])
        other.commit()
        alembic = [str(Path(sys.executable).with_name("alembic")), "-n", product.name, "upgrade", "head"]
        environment = {**os.environ, "KEEL_DATABASE_URL": empty}
        first = subprocess.Popen(alembic, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        second = pool.submit(migrate.upgrade, product, empty)
        wait_for("both to wait", lambda: len(server.execute(MIGRATORS)) == 2)
        assert migrate.current(product, empty) is None
        other.execute(b"SELECT pg_advisory_unlock(%s)", [session.LOCK])
        other.commit()
        second.result(timeout=30)
        _, said = first.communicate(timeout=30)
    assert first.returncode == 0, said
    assert "waiting for another migration" in said
    assert migrate.differences(product, empty) == []


def test_waiting_takes_no_snapshot(server: Server, product: Product, empty: str) -> None:
    """CREATE INDEX CONCURRENTLY of the one who holds the lock must not wait for the one who waits."""
    with ThreadPoolExecutor(1) as pool, server.connect(product.name) as holder:
        holder.autocommit = True
        holder.execute(b"CREATE TABLE busy (id int)")
        holder.execute(b"SELECT pg_advisory_lock(%s)", [session.LOCK])
        waiting = pool.submit(migrate.upgrade, product, empty)
        wait_for("the other to wait", lambda: server.execute(MIGRATORS))
        holder.execute(b"SET statement_timeout = '10s'")
        holder.execute(b"CREATE INDEX CONCURRENTLY busy_id ON busy (id)")
        holder.execute(b"DROP TABLE busy")
        holder.execute(b"SELECT pg_advisory_unlock(%s)", [session.LOCK])
        waiting.result(timeout=30)


def test_waiting_ends_and_names_the_holder(server: Server, product: Product, empty: str) -> None:
    """After its time the second leaves, and says by whom the lock is held."""
    with server.connect(product.name) as other:
        other.execute(b"SELECT pg_advisory_lock(%s)", [session.LOCK])
        with pytest.raises(migrate.MigrationError, match=rf"held by postgres, pid {other.info.backend_pid},"):
            migrate.upgrade(product, empty, wait=0.1)
    assert migrate.current(product, empty) is None


def test_a_database_of_a_newer_release_is_left_alone(server: Server, product: Product, empty: str) -> None:
    """A revision this checkout does not know is named."""
    migrate.upgrade(product, empty)
    server.execute("UPDATE alembic.alembic_version SET version_num = '999'", product.name)
    with pytest.raises(migrate.MigrationError, match="the database is at revision 999, which is not in this"):
        migrate.upgrade(product, empty)


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
