"""The program that ends what a product's programs hold too long, against a real server (W9)."""

import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from select import select
from typing import Any

import psycopg
import pytest

from environment.names import SESSIONS
from environment.products import Product
from environment.waiting import until
from keel_host.config import Bound, Member
from keel_host.programs import end_sessions
from keel_host.server import lines as server_lines
from tests.db.fixtures import only
from tools.scratch_server import Server, password_of

product = only("jeex_idea")
LONG = 3600
Ends = Callable[..., list[str]]


@pytest.fixture
def ends(server: Server, at_head: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    """One look of the program at the server, as its own login, with these bounds for the application."""
    server.execute(f"ALTER ROLE {SESSIONS} PASSWORD '{password_of(SESSIONS)}'")
    enter = ("docker", "exec", "-i", "-e", f"PGPASSWORD={password_of(SESSIONS)}", server.container)
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **options: run([*enter, *command], **options))

    def look(idle: int, whole: int) -> list[str]:
        nowhere: Any = Path()
        member = Member(
            "", nowhere, nowhere, "", nowhere, "", 0, Path("/pg"), SESSIONS, {"jeex_user": Bound(idle, whole)}
        )
        return server_lines(member, end_sessions.QUESTION)

    yield look
    server.execute(f"ALTER ROLE {SESSIONS} PASSWORD NULL")


@pytest.fixture
def application(server: Server, product: Product) -> Iterator[psycopg.Connection[Any]]:
    """A session that has lifted what a session can lift, in a transaction."""
    with server.connect(product.name, product.app_role) as session:
        session.autocommit = True
        session.execute("set idle_in_transaction_session_timeout = 0")
        session.execute("set statement_timeout = 0")
        session.execute("begin")
        session.execute("select 1")
        yield session


def ended(session: psycopg.Connection[Any], within: float = 10) -> bool:
    """The server closes the session within so many seconds: the signal is there, and its process has to run."""
    readable, _, _ = select([session], [], [], within)
    if not readable:
        return False
    with pytest.raises(psycopg.errors.AdminShutdown):
        session.execute("select 1")
    return True


def test_what_lasts_less_is_left_alone(server: Server, product: Product, application: Any, ends: Ends) -> None:
    """Nor is what belongs to no product's program: a migration thinks as long as it likes."""
    with server.connect(product.name, product.migrator_role) as migration:
        migration.execute("select pg_sleep(1.2)")
        assert ends(LONG, LONG) == []
        assert migration.execute("select 1").fetchone() == (1,)
    assert not ended(application, within=0)


def test_an_idle_transaction_ends(application: Any, ends: Ends) -> None:
    """Its own time counts, not the transaction's. On a busy machine more than a second passes before the look."""
    application.execute("select pg_sleep(4.1)")
    assert ends(4, LONG) == [], "it has just worked"
    (line,) = until(lambda: ends(4, LONG), 20, "the idle transaction to end", every=0.1)
    assert ended(application)
    assert line.startswith("ended jeex_user on jeex_idea from ") and line.endswith("s, the limit is 4 s")


def test_a_busy_transaction_ends_too(server: Server, product: Product, application: Any, ends: Ends) -> None:
    """However many statements keep it from being idle."""
    application.execute("select pg_sleep(1.6)")
    assert "its transaction took" in ends(LONG, 1)[0]
    assert ended(application)


def test_a_password_that_a_login_gave_itself_is_put_back(server: Server, product: Product, ends: Ends) -> None:
    """W15: PostgreSQL lets it; the others of its product would be locked out. Without what is remembered nothing is touched."""
    verifier = "select rolpassword from pg_authid where rolname = 'jeex_user'"
    before = server.execute(verifier)
    with server.connect(product.name, product.app_role) as session:
        session.execute("alter role current_user password 'mine'")
    assert server.execute(verifier) != before
    assert ends(LONG, LONG) == ["put back the password of jeex_user, which was not changed by Keel"]
    assert server.execute(verifier) == before and ends(LONG, LONG) == []
    given = server.execute("delete from keel.passwords where login = 'jeex_user' returning verifier")
    with server.connect(product.name, product.app_role) as session:
        session.execute("alter role current_user password 'mine'")
    assert ends(LONG, LONG) == []
    server.execute(f"insert into keel.passwords values ('jeex_user', '{given[0][0]}')")
    assert len(ends(LONG, LONG)) == 1 and server.execute(verifier) == before


def test_its_login_sees_and_ends_and_nothing_else(server: Server, product: Product, ends: Ends) -> None:
    """W9: it reaches neither a superuser's session nor a product's database."""
    connect = partial(server.connect, role=SESSIONS)
    with server.connect() as superuser, connect() as session:
        ((pid,),) = superuser.execute("select pg_backend_pid()").fetchall()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("select pg_terminate_backend(%s)", [pid])
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(product.name)
