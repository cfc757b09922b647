"""Run PgBouncer so that its restart loses no client (decision 18).

run-pooler CONFIG

systemd knows this process, which starts PgBouncer with the listening sockets. When it gets the order to end, it ends at once, and its
PgBouncer becomes one that *leaves*: it accepts no one and serves the clients that it has, until the last has gone or `LEAVES` has
passed. systemd keeps the listening sockets over a restart, so whoever connects meanwhile waits for the next PgBouncer and is not
refused. Each PgBouncer has a folder of its own below `Edge.sockets`, with its socket; the name of the folder is its number among
its peers, so that a request to cancel reaches the one that serves the client.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import select
import shutil
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from keel_host.config import Edge, read
from keel_host.console import SOCKET, Console, Pooler, poolers
from keel_host.files import replace
from keel_host.processes import Failed
from keel_host.systemd import FIRST, notify, stored

LEAVES = 75 * 60
"""Seconds that a PgBouncer serves the clients that it has after its successor has begun: more than the hour in which pools of clients
renew their connections."""
ENDS = 60.0
"""Seconds that transactions get then."""
IDLE = 5
"""Seconds after which one that leaves gives an idle server connection back: its successor has a share as large as its own."""
PEERS = 100
"""Numbers of PgBouncers, which come again after so many restarts."""
BACKLOG = 1024
"""Clients that may wait for the next PgBouncer."""
LOOK = 0.02
"""Seconds between two looks at a PgBouncer that begins."""
ASIDE = 100
"""A file descriptor above those that PgBouncer gets."""
SIGNALS = (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
LOGINS = 2.0
"""Seconds that clients get that are logging in when it is to end."""
PROGRAM = "/usr/sbin/pgbouncer"
PARENT_ENDED = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def main(arguments: list[str]) -> int:
    """PgBouncer's status where it ended by itself, 1 where it cannot be started."""
    try:
        edge = read(Edge)
        return run(edge, arguments[0])
    except (Failed, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def run(edge: Edge, config: str) -> int:
    """Serve until PgBouncer ends, or until a signal says to leave; then this does not return. Raises Failed or OSError."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    doors = listening(edge)
    folder = own_folder(edge.sockets, edge.port)
    replace(folder / "pgbouncer.ini", settings(folder, edge.port, config))
    name = f"{SOCKET}{edge.port}"
    console = socket.socket(socket.AF_UNIX)
    console.bind(str(folder / name))
    console.listen(BACKLOG)
    pooler = _start([*doors, console], folder / "pgbouncer.ini")
    for each in (*doors, console):
        each.close()
    ended = os.pidfd_open(pooler)
    while not select.select([ended], [], [], LOOK)[0]:
        with suppress(Failed, OSError):  # it does not answer yet
            Console(folder, edge.port, edge.administrator).close()
            waiting = edge.sockets / f"{name}.part"
            waiting.unlink(missing_ok=True)
            waiting.symlink_to(Path(folder.name, name))
            waiting.replace(edge.sockets / name)
            notify("READY=1")
            break
    while (given := signal.sigwait(SIGNALS)) in (signal.SIGHUP, signal.SIGCHLD):
        if given == signal.SIGHUP:
            _reload(edge)
        elif select.select([ended], [], [], 0)[0]:
            return _ended(edge, pooler)
    _let_in(edge, folder, pooler)
    return _leave(edge, folder, ended)


def listening(edge: Edge) -> list[socket.socket]:
    """The sockets of this edge's addresses: those that systemd has kept, and new ones, which it keeps from now on. Raises OSError."""
    wanted = {f"{address}-{edge.port}": (address, edge.port) for address in edge.addresses}
    kept = stored()
    for name in kept.keys() - wanted.keys():
        kept.pop(name).close()
        notify(f"FDSTOREREMOVE=1\nFDNAME={name}")
    for name, address in wanted.items():
        if name not in kept:
            kept[name] = socket.create_server(address, backlog=BACKLOG)
            notify(f"FDSTORE=1\nFDNAME={name}", kept[name])
    return list(kept.values())


def own_folder(sockets: Path, port: int) -> Path:
    """A folder whose number no PgBouncer has that still runs: the next one, so that one that is just ending takes away what is its
    own. Raises OSError."""
    running = {each.folder for each in poolers(sockets)}
    current = sockets / f"{SOCKET}{port}"
    last = int(current.readlink().parent.name) if current.is_symlink() else 0
    numbers = (sockets / str((last + step) % PEERS + 1) for step in range(PEERS))
    folder = next(folder for folder in numbers if folder not in running)
    for each in set(sockets.glob("*/")) - running:  # what was killed left its socket
        shutil.rmtree(each, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def settings(folder: Path, port: int, config: str) -> str:
    """PgBouncer's configuration: the common one, and what is its own. The common one ends within [pgbouncer]; to begin that section
    again would take everything in it back."""
    peers = (*poolers(folder.parent), Pooler(folder, port))
    known = "".join(f"{each.folder.name} = host={each.folder} port={each.port}\n" for each in peers)
    return f"%include {config}\nunix_socket_dir = {folder}\npeer_id = {folder.name}\n[peers]\n{known}"


def _start(sockets: list[socket.socket], config: Path) -> int:
    """PgBouncer's process, which takes its sockets as from systemd."""
    pooler = os.fork()
    if pooler:
        return pooler
    try:
        # First out of the way of the numbers that they are to have.
        aside = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, ASIDE) for each in sockets]
        for at, number in enumerate(aside):
            os.dup2(number, FIRST + at)
        # What systemd said is for this process alone: what is left of it (LISTEN_PIDFDID) would make PgBouncer refuse its sockets.
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("NOTIFY_", "LISTEN_"))}
        environment |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(aside))}
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        # However this process ends, its PgBouncer leaves: SIGTERM means to wait for the clients.
        ctypes.CDLL(None).prctl(PARENT_ENDED, signal.SIGTERM)
        os.execve(PROGRAM, [PROGRAM, str(config)], environment)  # noqa: S606 - the arguments are Keel's own
    finally:
        os._exit(1)


def _reload(edge: Edge) -> None:
    """Those that leave read their configuration again too: what bounds a client's work holds for theirs.

    While PgBouncer does not follow prepared statements, a client can end those of the connections that it gets, and PgBouncer would
    believe in them when it follows them again: it replaces each connection, after its transaction.
    """
    for each in poolers(edge.sockets):
        try:
            console = Console(each.folder, each.port, edge.administrator)
            followed = _follows_statements(console)
            console.ask("RELOAD")
            if not followed and _follows_statements(console):
                console.ask("RECONNECT")
            console.close()
        except (Failed, OSError) as error:
            print(f"{each.folder}: {error}", file=sys.stderr, flush=True)


def _follows_statements(console: Console) -> bool:
    (most,) = (int(row["value"]) for row in console.ask("SHOW CONFIG") if row["key"] == "max_prepared_statements")
    return most > 0


def _ended(edge: Edge, pooler: int) -> int:
    """It ended by itself: until it is back its clients are refused, and try another edge."""
    for address in edge.addresses:
        notify(f"FDSTOREREMOVE=1\nFDNAME={address}-{edge.port}")
    return abs(os.waitstatus_to_exitcode(os.waitpid(pooler, 0)[1]))


def _let_in(edge: Edge, folder: Path, pooler: int) -> None:
    """PgBouncer refuses who logs in while it leaves. So first it accepts no one any more: whoever comes waits for the next one. Then
    who was accepted gets in."""
    with suppress(Failed, OSError):  # one that cannot be asked leaves all the same, and refuses them
        console = Console(folder, edge.port, edge.administrator)
        _accept_none(folder / f"{SOCKET}{edge.port}", console, pooler)
        end = time.monotonic() + LOGINS
        while _logs_in(edge, console) and time.monotonic() < end:
            time.sleep(LOOK)
        console.close()


def _accept_none(door: Path, console: Console, pooler: int) -> None:
    """PgBouncer has no command for it. It stops for five seconds where it may open no more files, as it finds when someone knocks."""
    before = resource.prlimit(pooler, resource.RLIMIT_NOFILE)
    resource.prlimit(pooler, resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with socket.socket(socket.AF_UNIX) as knocks:
            knocks.connect(str(door))
            # It looks after all that has happened before it answers the second one.
            for _ in range(2):
                console.ask("SHOW VERSION")
    finally:
        resource.prlimit(pooler, resource.RLIMIT_NOFILE, before)


def _logs_in(edge: Edge, console: Console) -> bool:
    """Whether anyone is logging in, or waits for the look-up of a password."""
    (waiting,) = (int(row["items"]) for row in console.ask("SHOW LISTS") if row["list"] == "login_clients")
    looked_up = [row for row in console.ask("SHOW POOLS") if row["database"] in (edge.lookup, f"{edge.lookup}_ro")]
    return bool(waiting or any(int(row["cl_active"]) + int(row["cl_waiting"]) for row in looked_up))


def _leave(edge: Edge, folder: Path, ended: int) -> NoReturn:
    """End, and leave a process behind that ends PgBouncer in time."""
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with suppress(Failed, OSError):  # it keeps them for longer then
        console = Console(folder, edge.port, edge.administrator)
        console.ask(f"SET server_idle_timeout = {IDLE}")
        console.close()
    if not select.select([ended], [], [], LEAVES)[0]:
        print(
            f"PgBouncer {folder.name} has left for {LEAVES} s: it ends with the clients that it still has", flush=True
        )
        with suppress(Failed, OSError):  # it ends in any case
            console = Console(folder, edge.port, edge.administrator)
            console.send("PAUSE")
            console.answers(ENDS)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(ended, signal.SIGTERM)
        select.select([ended], [], [])
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)
