"""Who asks a scratch server may read everything and nothing else, or what one owner may; its superuser evaluates nothing (W0)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from keel_host import examine, scratch_access
from keel_host.fingerprint import connect, fingerprint
from keel_host.revision import read_revision
from tests.db.planted import DATABASE
from tools.scratch_server import SUPERUSER_PASSWORD, Server

HERE = Path("/pg")
OWNER = scratch_access.owner(DATABASE)
OTHERS = """
create schema restored; create table restored.users_2026 (id integer); insert into restored.users_2026 values (1);
create table public.of_another (id integer); insert into public.of_another values (1); alter table public.of_another owner to another
"""


def by_password(server: Server, where: str) -> psycopg.Connection[Any]:
    """A connection that would be made over the socket."""
    asked = conninfo_to_dict(where)
    assert asked["host"] == str(HERE)
    login = f"user={asked['user']} password={SUPERUSER_PASSWORD} dbname={asked['dbname']}"
    return connect(f"host=127.0.0.1 port={server.port} {login}")


@pytest.fixture
def roles(server: Server, planted: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The roles of a scratch server, in one that is reached with passwords."""
    monkeypatch.setattr(scratch_access, "connect", partial(by_password, server))
    server.execute("create role another")
    server.execute(OTHERS, DATABASE)
    scratch_access.admit(HERE)
    for role in (scratch_access.READER, OWNER):
        server.execute(f"alter role {role} password '{SUPERUSER_PASSWORD}'")
    yield planted
    for database, *_ in server.execute(scratch_access.DATABASES):
        of_database = scratch_access.owner(database)
        if server.execute(f"select 1 from pg_roles where rolname = '{of_database}'"):
            server.execute(f"drop owned by {of_database}; drop role {of_database}", database)
        server.execute(f"drop owned by {scratch_access.READER}, another", database)
    server.execute(f"drop role {scratch_access.READER}, another")


def superusers(server: Server) -> list[Any]:
    """Every role that has more than others."""
    return server.execute(
        "select rolname from pg_roles where rolsuper or rolcreaterole or rolcreatedb or rolreplication order by 1"
    )


def test_the_reader_sees_every_row_and_changes_nothing(server: Server, roles: str) -> None:
    """W0, PLAT-35: what is planted ran for nobody, though all of it would fail."""
    before = superusers(server)
    with connect(roles) as all_seeing, scratch_access.reader(HERE, DATABASE) as connection:
        found = fingerprint(connection)
        assert found == fingerprint(all_seeing) and found["public.users"][0] == 2
        assert read_revision(connection) == "012_last"
        for statement in (
            "insert into notes values ('x')",
            "create table public.mine ()",
            "create role mine",
            f"set role {OWNER}",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"set search_path = public; {statement}")
    assert superusers(server) == before


def test_one_owners_role_changes_what_is_in_its_database_alone(server: Server, roles: str) -> None:
    """W0: also what an operator restored, and what another role made; triggers sleep for it, and it can read no verifier."""
    with by_password(server, f"host={HERE} user={OWNER} dbname={DATABASE}") as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("create temporary table mine (id integer)")
        connection.execute("truncate restored.users_2026, public.of_another, public.notes")
        for statement in ("select rolpassword from pg_catalog.pg_authid", "alter database postgres set work_mem = 64"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_indexes_are_checked_as_their_owner(server: Server, roles: str) -> None:
    """W0, PLAT-35: the superuser installs amcheck and evaluates nothing. What an index calls runs as the table's owner."""
    before = superusers(server)
    examine.prepare_amcheck(HERE, DATABASE)
    words = shlex.split(f"env PGPASSWORD={SUPERUSER_PASSWORD} sh -c")
    check = (
        f"$(echo /usr/lib/postgresql/*/bin)/pg_amcheck -h /pg -U {scratch_access.READER} -d {DATABASE} --heapallindexed"
    )
    said = server.run(*words, check)
    assert "planted code runs" in said.stdout + said.stderr, said
    server.execute(
        "drop index users_of_number_idx, users_id_idx; drop index alembic.alembic_version_of_number_idx", DATABASE
    )
    said = server.run(*words, check)
    assert said.returncode == 0, said
    assert superusers(server) == before
