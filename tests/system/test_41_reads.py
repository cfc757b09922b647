"""Reads on a replica: without one they go on, write nothing, and are on a replica again soon after it came back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Timer
from typing import Any

import psycopg
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from environment.types import Group
from environment.urls import product_urls
from ops.hosts.docker import docker
from ops.hosts.session import Session
from ops.steps import verification
from ops.steps.checks import SUITE
from tests.system.environments import Ephemeral
from tests.system.test_36_failover import await_whole

PRODUCT = "ruleiq"
BACK = 60
"""Seconds in which every pool of reads is on a replica that streams again."""

LEADS_TO_REPLICAS = f"{SUITE}/test_replication.py::test_replicas_refuse_writes"
"""The check of the verification."""

Reader = psycopg.Connection[Any]


def clients(session: Session, number: int = 3) -> Iterator[list[Reader]]:
    """So many of the application's connections for reads, each to the pooler."""
    entry = session.manifest.products[PRODUCT]
    url = product_urls(session.manifest, session.roots, entry.product)["application"]
    url = url.replace(f"/{PRODUCT}?", f"/{PRODUCT}_ro?")
    with ExitStack() as stack:
        yield [
            stack.enter_context(psycopg.connect(url, autocommit=True, prepare_threshold=None)) for _ in range(number)
        ]


connected = contextmanager(clients)


@pytest.fixture
def session(twin: Ephemeral) -> Iterator[Session]:
    """A session with the environment."""
    with twin.session() as session:
        yield session


@pytest.fixture
def readers(session: Session) -> Iterator[list[Reader]]:
    """Three clients."""
    yield from clients(session)


def on_replicas(readers: list[Reader]) -> set[bool]:
    """Where the next transaction of each runs: True on a replica. All at the same time, so that the pool needs as many
    server connections."""
    with ExitStack() as stack:
        for reader in readers:
            stack.enter_context(reader.transaction())
        rows = [reader.execute("select pg_is_in_recovery()").fetchone() for reader in readers]
    return {row[0] for row in rows if row}


def await_on(readers: list[Reader], replica: bool, seconds: float) -> None:
    """Return once the clients are all there, five times in turn."""

    @retry(
        retry=retry_if_exception_type((AssertionError, psycopg.OperationalError)),
        stop=stop_after_delay(seconds), wait=wait_fixed(0.5), reraise=True,
    )  # fmt: skip
    def look() -> None:
        assert [on_replicas(readers) for _ in range(5)] == [{replica}] * 5

    look()


@retry(
    retry=retry_if_exception_type(psycopg.OperationalError), stop=stop_after_delay(30), wait=wait_fixed(1), reraise=True
)
def await_answers(session: Session) -> None:
    """Return once somebody answers reads."""
    with connected(session, 1) as (reader,):
        reader.execute("select 1")


def test_reads_without_a_replica_and_back(twin: Ephemeral, session: Session) -> None:
    """PLAT-37, BAC-36: on the primary they write nothing, though the role may; then no connection stays there. A verification
    that is made as soon as the replica streams waits for that: an update that brings a replica ends with one."""
    primary = session.leader().name
    (replica,) = (host.name for host in session.manifest.carrying(Group.POSTGRES) if host.name != primary)
    docker("stop", "-t", "10", twin.container(replica))
    try:
        await_answers(session)
        with connected(session) as readers:
            await_on(readers, False, BACK)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                readers[0].execute("update users set email = email")
            docker("start", twin.container(replica))
            await_whole(session)
            assert verification.run(session, LEADS_TO_REPLICAS).failures == []
            await_on(readers, True, BACK)
    finally:
        docker("start", twin.container(replica))
        await_whole(session)


def test_a_cancel_reaches_the_server_that_runs_the_query(readers: list[Reader]) -> None:
    """PLAT-37: it comes on a connection of its own, through the same edge."""
    await_on(readers, True, BACK)
    cancel = Timer(1, readers[0].cancel_safe)
    cancel.start()
    try:
        with pytest.raises(psycopg.errors.QueryCanceled):
            readers[0].execute("select pg_sleep(30)")
    finally:
        cancel.join()
