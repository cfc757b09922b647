"""Throwaway copies on a real server: as the product's own database, closed to others, made once and copied, dropped by name."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from db import provision, scratch
from db.spec import Bounds, Migrated
from environment import scratch as names
from environment.errors import Refused
from environment.products import Product, catalogue
from keel_host import catalogue as recorded
from tests.db.fixtures import only
from tools.scratch_server import LOCALE, Server, spec_of

product = only("jeex_idea")
DIGEST, OTHER = "0123456789ab", "ba9876543210"
pytestmark = pytest.mark.usefixtures("at_head")


def source(server: Server, product: Product, digest: str = DIGEST) -> scratch.Source:
    """As the command has it."""
    return scratch.Source(
        product, digest, LOCALE, bounds=Bounds(login=7, of_database=(("work_mem", "16MB"),)), development=False, revision=None,
        url=lambda database: server.url(product, database=database),
    )  # fmt: skip


def databases(server: Server, product: Product) -> set[str]:
    """All that was made for copies."""
    rows = server.execute(f"select datname from pg_database where datname ~ '^{product.name}_scratch_'")
    return {name for (name,) in rows}


def made(server: Server, product: Product, digest: str = DIGEST) -> str:
    return scratch.make(server.superuser, source(server, product, digest), lambda _: None)


@pytest.fixture(autouse=True)
def _nothing_left(server: Server, product: Product) -> Iterator[None]:
    yield
    scratch.forget(server.superuser, product)
    assert databases(server, product) == set()


@pytest.mark.parametrize("each", catalogue())
def test_a_copy_is_the_database_at_head(server: Server, each: str) -> None:
    """PLAT-15, PLAT-16: every table, policy, function and grant is as recorded, with the product's roles and extensions."""
    product = catalogue()[each]
    name = made(server, product)
    with server.look(name) as connection:
        lines = recorded.recorded(product.catalogue_file)
        assert recorded.differences(lines, recorded.read(connection)) == []
        extensions = {found for (found,) in connection.execute("select extname::text from pg_extension").fetchall()}
    assert extensions - {"plpgsql"} == set(product.extensions)
    scratch.forget(server.superuser, product)


def test_an_application_works_in_it_under_row_level_security(server: Server, product: Product) -> None:
    """PLAT-15, PLAT-10: two tenants see their own rows alone; no login of another product comes in, and nobody else's."""
    name = made(server, product)
    with server.connect(name, product.app_role) as client:
        first, second = (str(client.execute(REGISTER, [who]).fetchone()[0]) for who in ("a@b.cd", "e@f.gh"))  # type: ignore[index]
        for identity in (first, second):
            client.execute("select set_config('app.current_user_id', %s, false)", [identity])
            client.execute("insert into projects (name, created_by) values ('mine', %s)", [identity])
            rows = client.execute("select created_by::text from projects").fetchall()
            assert rows == [(identity,)]
        assert client.execute("show timezone").fetchone() == ("UTC",)
        assert client.execute("show work_mem").fetchone() == ("16MB",), "as the product's database has it"
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        server.connect(name, catalogue()["ruleiq"].app_role)
    rights = server.execute(
        f"select datconnlimit, array(select grantee from aclexplode(datacl) where grantee = 0) from pg_database where datname = '{name}'"
    )
    assert rights == [(7, [])]


REGISTER = "select auth.register_user(%s, 'Ada')"


def test_the_database_itself_is_not_touched(server: Server, product: Product) -> None:
    """A client goes on with it meanwhile, and a copy knows nothing of its rows."""
    with server.connect(product.name, product.app_role) as client:
        client.execute(REGISTER, ["here@b.cd"])
        name = made(server, product)
        with server.connect(name, product.migrator_role) as copy:
            assert copy.execute("select count(*) from users").fetchone() == (0,)
        client.rollback()


def test_migrations_run_once_for_the_same_files(server: Server, product: Product) -> None:
    """Other files are another template, and the one before goes."""
    said: list[str] = []
    first = scratch.make(server.superuser, source(server, product), said.append)
    second = scratch.make(server.superuser, source(server, product), said.append)
    template = names.template(product.name, DIGEST)
    assert len(said) == 1 and databases(server, product) == {first, second, template}
    third = scratch.make(server.superuser, source(server, product, OTHER), said.append)
    assert len(said) == 2
    assert databases(server, product) == {first, second, third, names.template(product.name, OTHER)}


def test_what_an_interrupted_run_left_is_made_again(server: Server, product: Product) -> None:
    """PLAT-36: a template that is not ready has another name. A copy that is closed still goes by its age."""
    server.execute(f"create database {names.making(product.name)}")
    server.execute(f"create database {names.fresh(product.name)} allow_connections false")
    name = made(server, product)
    with server.connect(name, product.migrator_role) as connection:
        assert connection.execute("select version_num from alembic.alembic_version").fetchone()
    assert names.making(product.name) not in databases(server, product)
    assert len(scratch.copies(server.superuser, product)) == 2


def test_several_at_once_migrate_once(server: Server, product: Product) -> None:
    said: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(scratch.make, server.superuser, source(server, product), said.append) for _ in range(4)]
        found = {job.result() for job in jobs}
    assert len(found) == 4 and len(said) == 1
    assert databases(server, product) == {*found, names.template(product.name, DIGEST)}


def test_no_superuser_enters_a_copy(server: Server, product: Product) -> None:
    """W0: it is in the database that is still empty, and in `postgres`; what the files say runs as the migrator."""
    entered: list[str] = []

    def connect(database: str) -> psycopg.Connection[Any]:
        entered.append(database)
        return server.superuser(database)

    for _ in range(2):
        scratch.make(connect, source(server, product), lambda _: None)
    scratch.drop(connect, product, [copy.name for copy in scratch.copies(connect, product)])
    assert set(entered) == {"postgres", names.making(product.name)}
    assert entered.count(names.making(product.name)) == 1


def test_only_copies_of_the_product_are_dropped(server: Server, product: Product) -> None:
    """All names are looked at first. Sessions with a copy end."""
    name = made(server, product)
    template = names.template(product.name, DIGEST)
    for wrong in (
        product.name,
        template,
        "postgres",
        names.fresh("ruleiq"),
        f'{name}"; drop',
        names.making(product.name),
    ):
        with pytest.raises(Refused, match="not the name of a scratch copy of jeex_idea"):
            scratch.drop(server.superuser, product, [name, wrong])
    assert {name, template} <= databases(server, product)
    with server.connect(name, product.app_role) as client:
        scratch.drop(server.superuser, product, [name, name])
        with pytest.raises(psycopg.OperationalError):
            client.execute("select 1")
    assert databases(server, product) == {template}


def test_a_copy_says_how_old_it_is(server: Server, product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    name = made(server, product)
    with server.connect(name, product.app_role):
        (copy,) = scratch.copies(server.superuser, product)
    assert (copy.name, copy.sessions) == (name, 1) and copy.bytes > 1_000_000
    assert timedelta(0) <= copy.age < timedelta(minutes=5)
    old = replace(copy, made=datetime.now(UTC) - timedelta(hours=25))
    assert old.age > scratch.LASTS


def test_copies_are_no_drift_where_there_may_be_some(server: Server, product: Product) -> None:
    """PLAT-48: provisioning leaves them alone; where data is guarded such a database is reported."""
    made(server, product)
    wanted = spec_of(migrated=Migrated.HEAD)
    ready = wanted.model_copy(update={"copies": True})
    provision.converge(server.superuser, server.look, ready, prune=True)
    assert provision.plan(server.superuser, server.look, ready) == []
    told = [change.what for change in provision.plan(server.superuser, server.look, wanted)]
    assert len(told) == 2 and all("belongs to no product of this checkout" in line for line in told)


def test_all_copies_together_have_room_next_to_the_sessions(server: Server, product: Product) -> None:
    """PLAT-20: one takes a third of what is left where that is less than it may, and five at least; with too few left none is made,
    and nothing changes."""
    first = made(server, product)
    with server.superuser("postgres") as connection:
        connection.autocommit = True
        room = scratch.left(connection)
        assert 10 < room <= 97 - 7 - 1, "of 100: 3 are the superuser's, 7 the copy's, and this session has one"
        with server.connect(product.name, product.app_role), server.connect(first, product.app_role):
            assert scratch.left(connection) == room - 1, "a session of a copy is counted with the copy"
        for kept, share in ((20, 6), (7, 5)):
            server.execute(f"alter database {first} connection limit {room + 7 - kept}")
            other = made(server, product)
            limit = "select datname, datconnlimit from pg_database where datname ~ '_scratch_[0-9]'"
            assert dict(server.execute(limit))[other] == share
            before = databases(server, product)
            scratch.drop(server.superuser, product, [other] if kept == 20 else [])
        with pytest.raises(
            Refused, match=r"connections [012] are left for a copy of jeex_idea.*needs 5.*max_connections"
        ):
            made(server, product)
    assert databases(server, product) == before
