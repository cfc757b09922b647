"""The primary moves on purpose while clients write through the pooler: they wait, and meet no error."""

from __future__ import annotations

import time

import psycopg
import pytest

from environment.types import Group
from environment.urls import product_urls
from ops.hosts.session import Session
from roles import paths
from roles.postgres.switchover import HOLD, LOOK
from tests.bench.switchover import with_keel
from tests.system.environments import Ephemeral
from tests.system.test_36_failover import await_whole

LIMIT = 10
"""Seconds that an edge holds its clients at the most (keel_host/programs/hold_writes.py)."""


def client(session: Session, database: str = "ruleiq") -> psycopg.Connection[tuple[object, ...]]:
    """An application of ruleIQ, through the pooler."""
    product = session.manifest.products["ruleiq"].product
    url = product_urls(session.manifest, session.roots, product)["application"]
    return psycopg.connect(url, dbname=database, autocommit=True, connect_timeout=30)


def test_no_client_meets_an_error(twin: Ephemeral) -> None:
    """PLAT-37, JEEX-31: neither those that keep their connection nor those that make a new one for each transaction."""
    with twin.session() as session:
        for _ in range(2):
            await_whole(session)
            before = session.leader().name
            done = with_keel(session)
            assert session.leader().name != before
            assert done.errors == ()
            assert done.pause < LIMIT


def test_an_open_transaction_keeps_the_primary(twin: Ephemeral) -> None:
    """PLAT-37: two seconds, then nothing moves and the answer names it; what waited meanwhile goes on."""
    with twin.session() as session:
        await_whole(session)
        before = session.leader().name
        with client(session) as idle, client(session) as other:
            with idle.transaction():
                (pid,) = idle.execute("select pg_backend_pid()").fetchone() or (0,)
                refused = twin.keel("switchover", "--yes", check=False)
                other.execute("select 1")
            idle.execute("select 1")
        assert refused.returncode == 2
        assert f"the primary stays on {before}: transactions did not end within 2 s: pid {pid} (" in refused.stderr
        assert session.leader().name == before


def test_a_hold_ends_by_itself(twin: Ephemeral) -> None:
    """PLAT-37, JEEX-31: whoever asked for it is gone: clients wait as long as they may, and no longer. Where the program dies
    they go on at once. Who reads from a replica does not wait."""
    with twin.session() as session, client(session) as writer, client(session, "ruleiq_ro") as reader:
        await_whole(session)
        edge = session.manifest.carrying(Group.EDGE)[0].name
        reader.execute("select 1")
        for ended, least, most in (
            ("", LIMIT - 2, LIMIT + 3),
            (f"kill -9 $(systemctl show -P MainPID {paths.HOLD_UNIT})", 0, 5),
        ):
            assert session.run(edge, HOLD).strip() == "held"
            began = time.monotonic()
            reader.execute("select 1")
            assert time.monotonic() - began < 1
            session.run(edge, ended or "true")
            writer.execute("select pg_current_xact_id()")
            assert least < time.monotonic() - began < most
        assert "keel" not in session.run(edge, f"{LOOK}; systemctl list-units --failed --plain --no-legend")


@pytest.mark.parametrize("wanted", ["nowhere", "the leader"])
def test_nobody_else_takes_over(twin: Ephemeral, wanted: str) -> None:
    """PLAT-37: refused before anything is asked of a client."""
    with twin.session() as session:
        leader = session.leader().name
        refused = twin.keel("switchover", "--yes", "--to", leader if wanted == "the leader" else wanted, check=False)
        assert refused.returncode == 2 and "Nothing was changed" in refused.stderr
        assert session.leader().name == leader
