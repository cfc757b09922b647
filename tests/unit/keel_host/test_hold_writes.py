"""How an edge holds its clients while the primary moves, against a pooler and a proxy that are told what to say."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from keel_host.config import Edge
from keel_host.console import Console
from keel_host.processes import Failed
from keel_host.programs import hold_writes

HEAD = "# pxname,svname,status\nprimary,FRONTEND,OPEN\n"
POOL = ("cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login")


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def table(rows: list[dict[str, Any]]) -> bytes:
    """Rows as PostgreSQL's protocol has them."""
    if not rows:
        return message(b"C", b"SHOW\0")
    names = b"".join(name.encode() + b"\0" + bytes(18) for name in rows[0])
    said = message(b"T", struct.pack("!h", len(rows[0])) + names)
    for row in rows:
        values = [str(value).encode() for value in row.values()]
        said += message(b"D", struct.pack("!h", len(values)) + b"".join(struct.pack("!i", len(v)) + v for v in values))
    return said + message(b"C", b"SHOW\0")


class Pooler:
    """PgBouncer's console. A database whose name is in ``busy`` is not paused before it leaves the set."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.busy: set[str] = set()
        self.paused: set[str] = set()
        self.pools: Callable[[], list[dict[str, Any]]] = list
        self.servers: list[dict[str, Any]] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / ".s.PGSQL.6432"))
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self.listener.accept()[0],), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with suppress(OSError, struct.error):
            size = struct.unpack("!i", client.recv(4))[0]
            client.recv(size - 4)
            client.sendall(message(b"R", struct.pack("!i", 0)) + message(b"Z", b"I"))
            while True:
                _, size = struct.unpack("!ci", client.recv(5))
                client.sendall(self._answer(client.recv(size - 4).rstrip(b"\0").decode()) + message(b"Z", b"I"))

    def _answer(self, command: str) -> bytes:
        self.said.append(command)
        word, _, name = command.partition(" ")
        if word == "PAUSE":
            self.paused.add(name)
            while name in self.busy:
                time.sleep(0.01)
        elif word == "RESUME" and name not in self.paused:
            return message(b"E", f"SERROR\0Mdatabase {name} is not paused\0\0".encode())
        elif word == "RESUME":
            self.paused.discard(name)
        elif word == "SHOW":
            return table(self.pools() if name == "POOLS" else self.servers)
        return message(b"C", b"DONE\0")


@pytest.fixture
def edge(tmp_path: Path) -> Edge:
    """An edge of two products."""
    return Edge(
        sockets=tmp_path,
        port=6432,
        administrator=getpass.getuser(),
        databases=("jeex_idea", "ruleiq"),
        lookup="postgres",
        proxy=tmp_path / "stats.sock",
        account=tmp_path / "account.json",
    )


@pytest.fixture
def pooler(edge: Edge) -> Pooler:
    return Pooler(edge.sockets)


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What systemd is told."""
    told: list[str] = []
    monkeypatch.setattr(hold_writes, "notify", told.append)
    return told


def proxied(monkeypatch: pytest.MonkeyPatch, *rounds: set[str]) -> None:
    """HAProxy's primaries, look by look; the last stays."""
    left = list(rounds)
    monkeypatch.setattr(hold_writes, "primaries", lambda _: left.pop(0) if len(left) > 1 else left[0])


def account(edge: Edge) -> dict[str, Any]:
    return dict(json.loads(edge.account.read_text()))


def test_clients_go_on_once_the_proxy_has_the_new_primary_alone(
    edge: Edge, pooler: Pooler, ready: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-37: not while it has both, nor while it has none. Those that log in go on last."""
    looks: list[set[str]] = [{"db1"}, {"db1"}, set(), {"db1", "db2"}, {"db2"}]
    proxied(monkeypatch, *looks)
    assert hold_writes.hold(edge) == 0
    assert ready == ["READY=1"] and account(edge)["moved"] and account(edge)["drained"]
    assert pooler.said[1:] == [
        "PAUSE jeex_idea", "PAUSE ruleiq", "PAUSE postgres", "RESUME jeex_idea", "RESUME ruleiq", "RESUME postgres",
    ] or set(pooler.said[1:4]) == {"PAUSE jeex_idea", "PAUSE ruleiq", "PAUSE postgres"}  # fmt: skip
    assert pooler.paused == set() and not [each for each in pooler.said if "_ro" in each]


def test_who_logs_in_waits_for_a_pool_that_serves(
    edge: Edge, pooler: Pooler, ready: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PgBouncer refuses whoever comes to a pool whose connections it closed before they were open."""
    proxied(monkeypatch, {"db1"}, {"db2"})
    states = iter(
        [{"sv_login": 1}, {"sv_idle": 1}, {"cl_waiting": 1}, {"cl_active": 1}, {"cl_active": 1, "sv_active": 1}]
    )
    nothing = dict.fromkeys(POOL, 0)
    pooler.pools = lambda: [{"database": "ruleiq", "user": "ruleiq_user", **nothing, **next(states)}]
    assert hold_writes.hold(edge) == 0
    assert pooler.said[:2] == ["SHOW POOLS"] * 2, "a connection that is being opened is waited for"
    assert pooler.said[-4:] == ["SHOW POOLS"] * 3 + ["RESUME postgres"]
    assert next(states, None) is None


def test_those_that_leave_are_held_too(
    edge: Edge, tmp_path: Path, ready: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-37: a pooler that restarted has clients left of before; its transactions count as well."""
    folders = [tmp_path / number for number in "12"]
    for folder in folders:
        folder.mkdir()
    leaves, serves = map(Pooler, folders)
    monkeypatch.setattr(hold_writes, "PATIENCE", 0.2)
    proxied(monkeypatch, {"db1"}, {"db2"})
    assert hold_writes.hold(edge) == 0
    paused = {"PAUSE jeex_idea", "PAUSE ruleiq", "PAUSE postgres"}
    assert paused == {said for said in leaves.said if said.startswith("PAUSE")}
    assert leaves.paused == serves.paused == set()
    leaves.busy = {"ruleiq"}
    leaves.servers = [{"database": "ruleiq", "state": "active", "remote_pid": 4711}]
    assert hold_writes.hold(edge) == 1
    assert account(edge)["open"] == [4711] and leaves.paused == serves.paused == set()
    leaves.busy.clear()


def test_an_open_transaction_ends_the_hold(
    edge: Edge, pooler: Pooler, ready: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-37: nothing may move then. Its process is named, others' and readers' are not."""
    monkeypatch.setattr(hold_writes, "PATIENCE", 0.2)
    proxied(monkeypatch, {"db1"})
    pooler.busy = {"ruleiq"}
    pooler.servers = [
        {"database": "ruleiq", "state": "active", "remote_pid": 4711},
        {"database": "ruleiq", "state": "idle", "remote_pid": 4712},
        {"database": "ruleiq_ro", "state": "active", "remote_pid": 4713},
    ]
    assert hold_writes.hold(edge) == 1
    assert ready == [] and pooler.paused == set()
    found = account(edge)
    assert (found["drained"], found["moved"], found["open"]) == (False, False, [4711])
    assert 0.2 <= found["held"] < 1
    pooler.busy.clear()


def test_a_primary_that_does_not_come_is_waited_for_no_longer(
    edge: Edge, pooler: Pooler, ready: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """JEEX-31: also those that log in go on in time, who wait for a connection of each pool that had one."""
    monkeypatch.setattr(hold_writes, "LIMIT", 0.6)
    monkeypatch.setattr(hold_writes, "LOGINS", 0.4)
    proxied(monkeypatch, {"db1"})
    states = iter([{"sv_idle": 1}])
    nothing = dict.fromkeys(POOL, 0)
    pooler.pools = lambda: [{"database": "ruleiq", "user": "ruleiq_user", **nothing, **next(states, {"cl_waiting": 1})}]
    assert hold_writes.hold(edge) == 0
    found = account(edge)
    assert not found["moved"] and pooler.paused == set()
    assert 0.5 < found["held"] < 0.95


def test_a_signal_lets_them_go(edge: Edge, pooler: Pooler, ready: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_edge: Edge) -> set[str]:
        if pooler.paused:
            raise SystemExit(143)
        return {"db1"}

    monkeypatch.setattr(hold_writes, "primaries", interrupted)
    with pytest.raises(SystemExit):
        hold_writes.hold(edge)
    assert pooler.paused == set()


def test_a_primary_that_restarts_in_its_place_is_waited_for(
    edge: Edge, pooler: Pooler, ready: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-37: the old primary counts from SIGUSR1 on, once HAProxy leads there again."""
    looks: list[set[str]] = []

    def primaries(_edge: Edge) -> set[str]:
        looks.append({"db1"} if len(looks) in (0, 1, 4) else set())
        if len(looks) == 3:
            os.kill(os.getpid(), signal.SIGUSR1)
        return set(looks[-1])

    monkeypatch.setattr(hold_writes, "primaries", primaries)
    assert hold_writes.hold(edge) == 0
    assert looks == [{"db1"}, {"db1"}, set(), set(), {"db1"}]
    assert account(edge)["moved"] and account(edge)["held"] < 1 and pooler.paused == set()


def test_without_a_pooler_none_is_held(edge: Edge, ready: list[str]) -> None:
    assert hold_writes.hold(edge) == 0
    assert ready == ["READY=1"] and account(edge)["held"] == 0


def test_release_is_for_whoever_is_held(edge: Edge, pooler: Pooler, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not held goes on already; any other refusal is one."""
    pooler.paused = {"ruleiq"}
    hold_writes.release(edge)
    assert pooler.paused == set()
    monkeypatch.setattr(pooler, "_answer", lambda _: message(b"E", b"SERROR\0Mno such database: ruleiq\0\0"))
    with pytest.raises(Failed, match=r"^PgBouncer: no such database: ruleiq$"):
        hold_writes.release(edge)


def test_the_proxys_primaries_are_those_it_uses(edge: Edge) -> None:
    rows = "primary,db1,UP 1/2\nprimary,db2,DOWN\nprimary,BACKEND,UP\nreplica,db2,UP\n"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(edge.proxy))
    listener.listen()

    def serve() -> None:
        client, _ = listener.accept()
        assert client.recv(100) == b"show stat\n"
        client.sendall((HEAD + rows).encode())
        client.close()

    threading.Thread(target=serve, daemon=True).start()
    assert hold_writes.primaries(edge) == {"db1"}


def test_a_console_that_asks_for_a_password_is_refused(tmp_path: Path) -> None:
    """And one that ends the connection, or refuses it."""
    for answer, said in (
        (message(b"R", struct.pack("!i", 10)), "asks for a password"),
        (b"", "ended the connection"),
        (message(b"E", b"SFATAL\0VFATAL\0Mnot allowed\0\0"), "not allowed"),
    ):
        listener = socket.socket(socket.AF_UNIX)
        path = tmp_path / ".s.PGSQL.6432"
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen()

        def serve(listener: socket.socket = listener, answer: bytes = answer) -> None:
            client, _ = listener.accept()
            client.recv(100)
            client.sendall(answer)
            client.close()

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(Failed, match=said):
            Console(tmp_path, 6432, getpass.getuser())
