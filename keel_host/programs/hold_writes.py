"""Hold the pooler's clients while the primary moves, and let them go by itself (decision 16).

hold-writes             hold; ready (as systemd means it) once no transaction is open, ended when the clients go on
hold-writes --release   let them go, whoever held them

Only the databases that lead to the primary are held: PgBouncer lets their open transactions end, closes their server
connections and makes their clients wait. Transactions get `PATIENCE` to end; if one does not, all go on at once and the primary
must not move. Otherwise they wait until this host's HAProxy has another primary and no longer the old one, or after SIGUSR1
(the primary stays, and runs again) until it has any, and `LIMIT` at the most. All of that happens here, so it ends whatever becomes of whoever asked for it.
"""

from __future__ import annotations

import csv
import json
import signal
import socket
import sys
import time
from collections.abc import Iterable, Set
from contextlib import suppress
from dataclasses import asdict, dataclass

from keel_host.config import Edge, read
from keel_host.console import Console, Row, poolers
from keel_host.files import replace
from keel_host.processes import Failed, end_on_signals
from keel_host.systemd import notify

PATIENCE = 2.0
"""Seconds that open transactions get."""
LIMIT = 10.0
"""Seconds that a client is held at the most, those that log in included: they go on later than the others."""
OPENING = 5.0
"""Seconds before the hold that connections to the server that are being opened get. No client waits longer for it. On a busy
machine one took more than a second."""
LOGINS = 1.0
"""Seconds of `LIMIT` that are kept for connections to the new primary."""
SHORTLY = 0.002
"""Seconds between two looks at PgBouncer before the hold."""
LOOK = 0.02
"""Seconds between two looks at HAProxy, and at PgBouncer after the hold."""
OPEN = ("sv_active", "sv_idle", "sv_used", "sv_tested")
"""Of SHOW POOLS: server connections whose login has ended."""
CLIENTS = ("cl_active", "cl_waiting")
Pool = tuple[str, str, str]
"""Pooler, database and user."""


@dataclass(frozen=True)
class Account:
    """What became of it; times in seconds."""

    held: float
    """How long clients waited."""
    drained: bool
    """No transaction was open; otherwise the primary must not move."""
    moved: bool
    """HAProxy had the primary for which they waited when the clients went on."""
    open: tuple[int, ...] = ()
    """The server's processes whose transactions did not end."""


def main(arguments: list[str]) -> int:
    """0 held or nothing to hold, 1 not held."""
    try:
        edge = read(Edge)
        if arguments == ["--release"]:
            release(edge)
            return 0
        end_on_signals()
        edge.account.unlink(missing_ok=True)
        return hold(edge)
    except (Failed, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def hold(edge: Edge) -> int:
    """Hold until HAProxy has another primary. Raises Failed or OSError where the pooler cannot be asked; then nothing is held."""
    try:
        consoles = [(name, console) for name in (*edge.databases, edge.lookup) for console in _consoles(edge)]
    except (FileNotFoundError, ConnectionRefusedError):
        _record(edge, Account(held=0, drained=True, moved=False))  # no pooler runs, so no client waits
        notify("READY=1")
        return 0
    old = primaries(edge)
    signal.signal(signal.SIGUSR1, lambda *_: old.clear())
    served = _await_logins(edge, time.monotonic() + OPENING)
    began = time.monotonic()
    drained = moved = False
    busy: tuple[int, ...] = ()
    try:
        for name, console in consoles:
            console.send(f"PAUSE {name}")
        drained = _drained([console for _, console in consoles], began + PATIENCE)
        if drained:
            notify("READY=1")
            moved = _moves(edge, old, began + LIMIT - LOGINS)
        else:
            busy = _busy(edge)
    finally:
        release(edge, served, began + LIMIT)
        _record(edge, Account(round(time.monotonic() - began, 3), drained, moved, busy))
    return 0 if drained else 1


def release(edge: Edge, served: Set[Pool] = frozenset(), end: float = 0) -> None:
    """Let every client go on; one that is not held does so already. Raises Failed or OSError.

    Those that log in go on last, once each pool that was ``served`` has a server connection again, or at the ``end``: whoever
    comes to one whose connections PgBouncer has closed before they were open is refused.
    """
    consoles = _consoles(edge)
    for name in edge.databases:
        _resume(consoles, name)
    while served and time.monotonic() < end:
        pools = _shown(consoles, "POOLS")
        # Without a client PgBouncer opens no connection, and has opened and closed none meanwhile.
        if not served & _having(pools, CLIENTS) - _having(pools, OPEN):
            break
        time.sleep(LOOK)
    _resume(consoles, edge.lookup)
    for console in consoles:
        console.close()


def _resume(consoles: Iterable[Console], database: str) -> None:
    for console in consoles:
        try:
            console.ask(f"RESUME {database}")
        except Failed as error:
            if "is not paused" not in str(error):
                raise


def primaries(edge: Edge) -> set[str]:
    """The servers to which HAProxy leads whoever wants the primary. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as proxy:
        proxy.settimeout(1)
        proxy.connect(str(edge.proxy))
        proxy.sendall(b"show stat\n")
        said = b"".join(iter(lambda: proxy.recv(65536), b"")).decode()
    rows = csv.DictReader(said.removeprefix("# ").splitlines())
    servers = (row for row in rows if row["pxname"] == "primary" and row["svname"] not in ("FRONTEND", "BACKEND"))
    return {row["svname"] for row in servers if row["status"].startswith("UP")}


def _await_logins(edge: Edge, end: float) -> Set[Pool]:
    """The pools with server connections, as soon as PgBouncer is opening none of them, or at the end. It closes one that is not
    open yet, and takes that for a failure of the server."""
    consoles = _consoles(edge)
    while True:
        pools = [pool for pool in _shown(consoles, "POOLS") if pool["database"] in edge.databases]
        if not _having(pools, ("sv_login",)) or time.monotonic() >= end:
            for console in consoles:
                console.close()
            return _having(pools, OPEN)
        time.sleep(SHORTLY)


def _having(pools: Iterable[Row], states: Iterable[str]) -> Set[Pool]:
    """The pools that have a connection in one of these states."""
    return {
        (pool["pooler"], pool["database"], pool["user"]) for pool in pools if any(int(pool[state]) for state in states)
    }


def _drained(consoles: Iterable[Console], end: float) -> bool:
    """Whether each database is without a transaction by then: its command is answered once it is. Raises Failed."""
    for console in consoles:
        if not console.answers(end - time.monotonic()):
            return False
        console.rows()
    return True


def _busy(edge: Edge) -> tuple[int, ...]:
    """The server's processes that work for a client. Raises Failed or OSError."""
    consoles = _consoles(edge)
    shown = _shown(consoles, "SERVERS")
    for console in consoles:
        console.close()
    return tuple(sorted(int(each["remote_pid"]) for each in shown if _works(edge, each)))


def _works(edge: Edge, server: Row) -> bool:
    return server["database"] in edge.databases and server["state"] == "active"


def _moves(edge: Edge, old: set[str], end: float) -> bool:
    """Whether HAProxy comes to lead to one server that it did not lead to before, and to no other."""
    while time.monotonic() < end:
        with suppress(OSError):
            now = primaries(edge)
            if len(now) == 1 and not now & old:
                return True
        time.sleep(LOOK)
    return False


def _record(edge: Edge, account: Account) -> None:
    replace(edge.account, json.dumps(asdict(account)))
    print(account, flush=True)


def _consoles(edge: Edge) -> list[Console]:
    """One of each pooler: clients of one that leaves are held too. Raises OSError where none runs."""
    found = []
    for each in poolers(edge.sockets):
        with suppress(FileNotFoundError, ConnectionRefusedError):  # it has ended with its last client
            found.append(Console(each.folder, each.port, edge.administrator))
    return found or [Console(edge.sockets, edge.port, edge.administrator)]


def _shown(consoles: Iterable[Console], what: str) -> list[Row]:
    """Rows of all of them, each with the number of its pooler."""
    return [{"pooler": str(at), **row} for at, each in enumerate(consoles) for row in each.ask(f"SHOW {what}")]
