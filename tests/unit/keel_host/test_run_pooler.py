"""How PgBouncer is run: which sockets it gets, and how those that leave are told apart."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from keel_host import systemd
from keel_host.config import Edge
from keel_host.console import Pooler, poolers
from keel_host.programs import run_pooler


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What systemd is told, on one line each."""
    said: list[str] = []
    monkeypatch.setattr(run_pooler, "notify", lambda state, *_: said.append(state.replace("\n", " ")))
    return said


@pytest.fixture
def listener(tmp_path: Path) -> socket.socket:
    """The socket of a PgBouncer that runs, in folder 1."""
    return serves(tmp_path / "1")


def serves(folder: Path, port: int = 6432) -> socket.socket:
    folder.mkdir()
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(folder / f".s.PGSQL.{port}"))
    made.listen()
    return made


def edge(folder: Path, *addresses: str, port: int = 0) -> Edge:
    nowhere = Path("/nowhere")
    return Edge(folder, port, "postgres", (), "postgres", nowhere, nowhere, addresses)


def test_those_that_answer_are_found(tmp_path: Path, listener: socket.socket) -> None:
    """With the port that each has: a changed one is its successor's. What was left of a killed one is none."""
    serves(tmp_path / "2").close()
    serving = serves(tmp_path / "3", 6433)
    (tmp_path / ".s.PGSQL.6433").symlink_to("3/.s.PGSQL.6433")
    assert poolers(tmp_path) == [Pooler(tmp_path / "1", 6432), Pooler(tmp_path / "3", 6433)]
    serving.close()
    listener.close()
    assert poolers(tmp_path) == []


def test_a_new_one_takes_a_number_that_none_has(tmp_path: Path, listener: socket.socket) -> None:
    """And knows its peers, so that a request to cancel reaches the one that serves the client. What a killed one left goes."""
    serves(tmp_path / "2").close()
    (tmp_path / "2" / "pgbouncer.ini").touch()
    folder = run_pooler.own_folder(tmp_path, 6432)
    assert folder == tmp_path / "2" and list(folder.iterdir()) == []
    assert run_pooler.settings(folder, 6433, "/etc/all.ini").splitlines() == [
        "%include /etc/all.ini",
        f"unix_socket_dir = {folder}",
        "peer_id = 2",
        "[peers]",
        f"1 = host={tmp_path}/1 port=6432",
        f"2 = host={folder} port=6433",
    ]
    assert listener.fileno() > 0


def test_numbers_come_again_late(tmp_path: Path, listener: socket.socket) -> None:
    """One that is just ending removes its socket: its successor's is in another folder."""
    (tmp_path / ".s.PGSQL.6432").symlink_to("2/.s.PGSQL.6432")
    assert run_pooler.own_folder(tmp_path, 6432).name == "3"
    (tmp_path / ".s.PGSQL.6432").unlink()
    (tmp_path / ".s.PGSQL.6432").symlink_to(f"{run_pooler.PEERS}/.s.PGSQL.6432")
    assert run_pooler.own_folder(tmp_path, 6432).name == "2" and listener.fileno() > 0


def test_sockets_are_kept_over_a_restart(tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What systemd has kept is not opened again; what the settings no longer name is let go."""
    (first,) = run_pooler.listening(edge(tmp_path, "127.0.0.1"))
    assert told == ["FDSTORE=1 FDNAME=127.0.0.1-0"]
    kept, gone = first.dup(), first.dup()
    monkeypatch.setattr(run_pooler, "stored", lambda: {"127.0.0.1-0": kept, "127.0.0.9-0": gone})
    assert run_pooler.listening(edge(tmp_path, "127.0.0.1", "127.0.0.2"))[0] is kept
    assert told[1:] == ["FDSTOREREMOVE=1 FDNAME=127.0.0.9-0", "FDSTORE=1 FDNAME=127.0.0.2-0"]
    assert gone.fileno() == -1


def test_systemd_gets_the_socket_and_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sd_pid_notify_with_fds(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, socket.socket() as kept:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.notify("FDSTORE=1", kept)
        said, (passed,), _, _ = socket.recv_fds(manager, 100, 1)
        assert said == b"FDSTORE=1" and os.fstat(passed).st_ino == os.fstat(kept.fileno()).st_ino
        os.close(passed)
        systemd.notify("READY=1")
        assert socket.recv_fds(manager, 100, 1)[:2] == (b"READY=1", [])


def test_what_is_for_another_process_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    monkeypatch.setenv("LISTEN_FDNAMES", "127.0.0.1-6432")
    assert systemd.stored() == {}
