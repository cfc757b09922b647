"""A known moment on a real server: what its restore point holds exactly, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from keel_host.fingerprint import connect
from keel_host.known import KnownMoment
from keel_host.programs import known_moment
from tools.scratch_server import SUPERUSER_PASSWORD, Server

DATABASE = "known_moment"
TABLES = """
create table still (id int primary key, said text); insert into still select n, 'row ' || n from generate_series(1, 100) n;
create table busy (id int primary key); create table "Odd name" (id int); create unlogged table passing (id int)
"""


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """Connection string of a database with a few tables."""
    server.execute(f"create database {DATABASE}")
    server.execute(TABLES, DATABASE)
    yield f"host=127.0.0.1 port={server.port} user=postgres password={SUPERUSER_PASSWORD} dbname={DATABASE}"
    server.execute(f"drop database {DATABASE} with (force)")


class Meddling:
    """The connection that names the moment, and something that happens just before."""

    def __init__(self, connection: Any, happens: Any) -> None:
        self.connection, self.happens = connection, happens

    def execute(self, *arguments: Any) -> Any:
        """Let it happen, then go on."""
        self.happens()
        self.happens = lambda: None
        return self.connection.execute(*arguments)


def record(database: str, happens: Any = lambda: None) -> KnownMoment:
    """A known moment of the database."""
    with ExitStack() as stack:
        first, second, naming = (stack.enter_context(connect(database)) for _ in range(3))
        return known_moment.record("dev", {DATABASE: (first, second)}, Meddling(naming, happens))


def test_in_silence_every_table_is_certain(database: str, server: Server) -> None:
    """PLAT-35: number of rows and digest, of everything that comes back from a recovery."""
    moment = record(database)
    tables = moment.tables[DATABASE]
    assert tables.keys() == {"public.still", "public.busy", 'public."Odd name"'}
    assert tables["public.still"][0] == 100 and moment.moving == {DATABASE: []}
    assert f'restore point "{moment.name}" created at {moment.lsn}' in server.log()
    server.execute("update still set said = 'changed' where id = 50", DATABASE)
    changed = record(database).tables[DATABASE]["public.still"]
    assert changed[0] == 100 and changed != tables["public.still"]


def test_what_an_open_transaction_has_written_is_left_out(database: str) -> None:
    """It may have written its commit before the point and not show it yet."""
    with psycopg.connect(database) as writer:
        writer.execute("insert into public.busy values (1)")
        moment = record(database)
        writer.rollback()
    assert moment.moving == {DATABASE: ["public.busy"]}
    assert "public.still" in moment.tables[DATABASE]


def test_what_was_committed_around_the_point_is_left_out(database: str) -> None:
    """The others are compared all the same."""

    def commit() -> None:
        with psycopg.connect(database) as writer:
            writer.execute("insert into public.busy values (2)")

    moment = record(database, commit)
    assert moment.moving == {DATABASE: ["public.busy"]}
    assert moment.tables[DATABASE]["public.still"][0] == 100


def test_nothing_is_emptied_while_it_is_read(database: str) -> None:
    """A snapshot does not show what TRUNCATE took away."""

    def truncate() -> None:
        with psycopg.connect(database) as writer:
            writer.execute("set lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                writer.execute("truncate public.still")

    assert record(database, truncate).tables[DATABASE]["public.still"][0] == 100
