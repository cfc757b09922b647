"""What a planned switchover costs: clients of the pooler, and the same cluster with bare Patroni, one after the other.

    ENV=dev python -m tests.bench.switchover [ROUNDS]

With Keel, several clients write through the pooler, some of them over a new connection each time; their errors and their longest
pause are what counts, and how long the edges say that they held them. Bare means the distribution's Patroni without Keel's program
around it, and its own order, while one session after the other writes on the servers' own sockets: from the last write on the old
primary to the first on the new one.
"""

from __future__ import annotations

import os
import secrets
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import psycopg
from rich.console import Console
from rich.table import Table

from db import sessions
from environment.types import Group
from environment.urls import product_urls
from ops.cluster.patroni import asking, members
from ops.cluster.switchover import carry_out, plan
from ops.hosts.environment import open_environment
from ops.hosts.session import Session
from roles.paths import SOCKETS
from roles.postgres import patroni
from roles.postgres.role import CONFIG
from roles.postgres.switchover import CHECKPOINT
from tests.system.writer import forget_writes

KEEPING, CONNECTING = 6, 2
"""Clients that keep their connection, and those that make a new one for each transaction."""
MESSAGE = "select pg_logical_emit_message(false, 'keel', 'bench')"


@dataclass
class Client:
    """Transactions one after the other; what went wrong, and when each that went well ended."""

    url: str
    keeps: bool
    stop: threading.Event
    ended: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def work(self) -> None:
        """Until ``stop``."""
        while not self.stop.is_set():
            try:
                with psycopg.connect(self.url, connect_timeout=20) as connection:
                    while not self.stop.is_set():
                        self._transaction(connection)
                        if not self.keeps:
                            break
            except psycopg.Error as error:
                self.errors.append(str(error).strip())
                self.stop.wait(0.1)

    def _transaction(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        email = f"writer-{secrets.token_hex(8)}@test.example"
        connection.execute("select auth.register_user(%s, %s)", (email, "Writer"))
        connection.commit()
        self.ended.append(time.monotonic())
        self.stop.wait(0.01)

    def pause(self, since: float) -> float:
        """The longest time between two transactions that ended after ``since``, seconds."""
        times = [since, *(each for each in self.ended if each > since)]
        return max(later - earlier for earlier, later in pairwise(times))


@dataclass(frozen=True)
class Round:
    """One switchover with Keel; seconds."""

    held: float
    """The longest of the edges' own account."""
    pause: float
    """The longest that a client waited between two transactions."""
    errors: tuple[str, ...]


def main(rounds: int) -> None:
    """Measure and print. Exit status 1 where a client met an error."""
    with open_environment(os.environ.get("ENV", "dev")) as session:
        bare, keel = measure(session, rounds)
    table = Table("switchover", "rounds", "median, s", "p95, s", "max, s", "errors")
    for name, figures, errors in (
        ("bare Patroni", bare, "-"),
        ("Keel: held by the edge", [each.held for each in keel], sum(len(each.errors) for each in keel)),
        ("Keel: longest pause of a client", [each.pause for each in keel], ""),
    ):
        table.add_row(name, str(len(figures)), *(f"{each:.2f}" for each in summary(figures)), str(errors))
    Console().print(table)
    found = sorted({error for each in keel for error in each.errors})
    print(*found, sep="\n")
    sys.exit(1 if found else 0)


def summary(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Median, 95th percentile and maximum."""
    ordered = sorted(seconds)
    return statistics.median(ordered), ordered[max(0, -(-len(ordered) * 95 // 100) - 1)], ordered[-1]


def measure(session: Session, rounds: int) -> tuple[list[float], list[Round]]:
    """Seconds of bare switchovers, and rounds with Keel."""
    with _bare_patroni(session):
        bare = [_bare(session) for _ in range(rounds)]
    return bare, [with_keel(session) for _ in range(rounds)]


@contextmanager
def _bare_patroni(session: Session) -> Iterator[None]:
    """Patroni as the distribution starts it, on every member."""
    drop_in = "/run/systemd/system/patroni.service.d/zz-bare.conf"
    start = f"[Service]\\nExecStart=\\nExecStart=/usr/bin/patroni {CONFIG}\\n"
    _begin_again(session, f"mkdir -p $(dirname {drop_in}); printf '{start}' > {drop_in}")
    try:
        yield
    finally:
        _begin_again(session, f"rm {drop_in}")


def _begin_again(session: Session, change: str) -> None:
    """Change Patroni's unit on every member, and start it anew."""
    for host in session.manifest.carrying(Group.POSTGRES):
        session.run(host.name, f"{change}; systemctl daemon-reload; systemctl restart patroni")
    patroni.await_members(lambda: members(session), patroni.healthy, "every member to run", 60)


def with_keel(session: Session) -> Round:
    """One switchover while clients write through the pooler."""
    product = session.manifest.products["jeex_idea"].product
    url = product_urls(session.manifest, session.roots, product)["application"]
    move = plan(session)
    with _clients(url) as clients:
        began = time.monotonic()
        held = carry_out(session, move, lambda _: None)
        _await_transactions(clients, time.monotonic())
    forget_writes(session)
    return Round(
        held=max(held.values()),
        pause=max(client.pause(began) for client in clients),
        errors=tuple(error for client in clients for error in client.errors),
    )


@contextmanager
def _clients(url: str) -> Iterator[list[Client]]:
    stop = threading.Event()
    clients = [Client(url, number < KEEPING, stop) for number in range(KEEPING + CONNECTING)]
    threads = [threading.Thread(target=client.work) for client in clients]
    for thread in threads:
        thread.start()
    try:
        _await_transactions(clients, time.monotonic())
        yield clients
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _await_transactions(clients: Sequence[Client], since: float) -> None:
    """Until each client has ended one that it began after ``since``."""
    end = time.monotonic() + 30
    while any(not client.ended or client.ended[-1] < since + 0.1 for client in clients):
        if time.monotonic() > end:
            raise TimeoutError(f"a client stands still: {[client.errors[-1:] for client in clients]}")
        time.sleep(0.02)


def _bare(session: Session) -> float:
    """Seconds without a write, on the servers' own sockets, while Patroni switches over by itself."""
    move = plan(session)
    session.run(move.leader, CHECKPOINT)
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(session.forward(host.name, f"{SOCKETS}/.s.PGSQL.5432"))
            for host in session.manifest.carrying(Group.POSTGRES)
        ]
        written: list[float] = []
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                for folder in sockets:
                    try:
                        with sessions.superuser("postgres", host=str(folder), connect_timeout=2) as connection:
                            connection.autocommit = True
                            while not stop.is_set():
                                connection.execute(MESSAGE)
                                written.append(time.monotonic())
                                stop.wait(0.01)
                    except psycopg.Error:
                        continue

        writer = threading.Thread(target=write)
        writer.start()
        try:
            _await_write(written, time.monotonic())
            patroni.hand_over(asking(session), move.leader, move.candidate)
            _await_write(written, time.monotonic())
        finally:
            stop.set()
            writer.join()
    patroni.await_members(lambda: members(session), patroni.healthy, "every member to run", 60)
    return max(later - earlier for earlier, later in pairwise(written))


def _await_write(written: Sequence[float], since: float) -> None:
    end = time.monotonic() + 30
    while not written or written[-1] < since:
        if time.monotonic() > end:
            raise TimeoutError("no server takes a write")
        time.sleep(0.02)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
