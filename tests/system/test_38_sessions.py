"""What one client leaves on a server connection, and what of it another client meets, for each choice of `pgbouncer.reset`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from db.url import conninfo
from environment.names import IDENTITY
from environment.products import Product, catalogue
from environment.types import Group, Reset
from environment.urls import product_urls
from ops.hosts.session import Session
from roles.pgbouncer.role import RESET_QUERIES
from tests.system.environments import Ephemeral

CLIENTS = 60
FORGETFUL = 4
"""Clients that leave something, at the same time, so that each has a server connection of its own."""

SOMEBODY = "01900000-0000-7000-8000-000000000001"

LEFT = {
    "identity": (f"set {IDENTITY} = '{SOMEBODY}'", f"current_setting('{IDENTITY}', true) = '{SOMEBODY}'"),
    "row security": ("set row_security = off", "current_setting('row_security') = 'off'"),
    "timeout": ("set statement_timeout = 0", "current_setting('statement_timeout') = '0'"),
    "prepared name": ("prepare left_behind as select 1", "exists (select from pg_prepared_statements where from_sql)"),
    "cursor": (
        "declare left_behind cursor with hold for select 1",
        "exists (select from pg_cursors where is_holdable)",
    ),
    "channel": ("listen left_behind", "exists (select from pg_listening_channels())"),
}
"""What a session can keep: how it is left, and how the next one sees it."""

ENDED: dict[Reset, set[str]] = {
    Reset.OFF: set(),
    Reset.IDENTITY: {"identity", "row security"},
    Reset.STATE: set(LEFT),
}

SEEN = "select pg_backend_pid(), " + ", ".join(question for _, question in LEFT.values())

Connection = psycopg.Connection[Any]


def console(session: Session, command: str) -> None:
    """PgBouncer's own, on the edge."""
    edge, port = session.manifest.carrying(Group.EDGE)[0], session.manifest.ports.pgbouncer
    psql = f"psql -Xq -v ON_ERROR_STOP=1 -h /run/pgbouncer -p {port} -U postgres pgbouncer -c {shlex.quote(command)}"
    session.run(edge.name, f"runuser -u postgres -- {psql}")


def renew(session: Session, product: Product) -> None:
    """New server connections, on which nobody has left anything."""
    console(session, f"RECONNECT {product.name}")
    console(session, f"WAIT_CLOSE {product.name}")


@pytest.fixture(scope="module")
def product() -> Product:
    """One whose identities are of the type of SOMEBODY."""
    return catalogue()["jeex_idea"]


@pytest.fixture(scope="module")
def session(dev: Ephemeral) -> Iterator[Session]:
    """With the environment like dev; in the end PgBouncer is what its file says, on new server connections."""
    with dev.session() as opened:
        yield opened
        console(opened, "RELOAD")
        console(opened, "RECONNECT")


@pytest.fixture(scope="module")
def url(session: Session, product: Product) -> str:
    """Of the application, through the pooler."""
    return conninfo(product_urls(session.manifest, session.roots, product)["application"])


def opened(stack: ExitStack, url: str, how_many: int) -> list[Connection]:
    """So many clients."""
    return [stack.enter_context(psycopg.connect(url, prepare_threshold=None)) for _ in range(how_many)]


@pytest.fixture(scope="module")
def others(url: str) -> Iterator[list[Connection]]:
    """The other clients, there from the beginning."""
    with ExitStack() as stack:
        yield opened(stack, url, CLIENTS)


@pytest.mark.parametrize("reset", Reset)
def test_what_another_client_meets(
    session: Session, product: Product, url: str, others: list[Connection], reset: Reset
) -> None:
    """JEEX-18, PLAT-17, W6: 0 of 60 see an identity, unless it is off; what else ends is what the setting says."""
    console(session, f"SET server_reset_query = '{RESET_QUERIES[reset]}'")
    console(session, f"SET server_reset_query_always = {int(reset is not Reset.OFF)}")
    renew(session, product)
    with ExitStack() as stack:
        forgetful = opened(stack, url, FORGETFUL)
        used = {_pid(client) for client in forgetful}
        for client in forgetful:
            for leave, _ in LEFT.values():
                client.execute(leave.encode())
        for client in forgetful:
            client.commit()
        met: dict[str, int] = dict.fromkeys(LEFT, 0)
        reused = set()
        for other in others:
            pid, *seen = other.execute(SEEN.encode()).fetchone() or (0,)
            other.commit()
            reused.add(pid)
            for name, there in zip(LEFT, seen, strict=True):
                met[name] += bool(there)
    assert used & reused, f"no server connection was used again: {used}, {reused}"
    assert {name for name, times in met.items() if times == 0} == ENDED[reset], met


def test_who_forgets_local_has_no_rows(session: Session, product: Product) -> None:
    """CF-17, W6: a plain SET works in its transaction; after it there is no identity, on replicas too."""
    console(session, "RELOAD")
    renew(session, product)
    urls = product_urls(session.manifest, session.roots, product)
    for purpose in ("application", "readonly"):
        with psycopg.connect(conninfo(urls[purpose]), prepare_threshold=None) as client:
            for _ in range(CLIENTS):
                client.execute(f"set {IDENTITY} = '{SOMEBODY}'".encode())
                assert client.execute(f"show {IDENTITY}".encode()).fetchone() == (SOMEBODY,), purpose
                client.commit()
                left = client.execute(f"select current_setting('{IDENTITY}', true)".encode()).fetchone()
                client.commit()
                assert left in ((None,), ("",)), purpose


def _pid(client: Connection) -> int:
    (pid,) = client.execute(b"select pg_backend_pid()").fetchone() or (0,)
    return int(pid)
