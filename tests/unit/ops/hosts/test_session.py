"""A session, with a stand-in for ssh."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from environment.derive import Roots
from environment.errors import KeelError
from environment.manifest import HostEntry
from environment.pki import ca_certificate
from environment.types import Group
from ops.hosts import session as module
from ops.hosts.session import Session, Unreachable, adopt, export, open_session
from tests.unit.cli_fakes import environment, session
from tests.unit.hosts import NO_PRIMARY, Clock, hosts

SSH = """#!/usr/bin/env python3
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN if {deaf} else signal.SIG_DFL)
open({written!r}, "w").write(str(os.getpid()))
local = sys.argv[sys.argv.index("-L") + 1].split(":")
listener = socket.socket()
listener.bind((local[0], int(local[1])))
listener.listen()
time.sleep(60)
"""


@pytest.mark.parametrize("deaf", [False, True])
def test_a_tunnel_ends_with_its_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf: bool) -> None:
    """Also when ssh missed its signal: a step would wait for it for ever, and the whole `up` with it."""
    written = tmp_path / "pid"
    stand_in = tmp_path / "ssh"
    stand_in.write_text(SSH.format(deaf=deaf, written=str(written)))
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    opened: Session = session(tmp_path)
    with opened.tunnel(opened.manifest.carrying(Group.EDGE)[0], 5000) as port:
        assert port > 1023, "a free one, that nobody else has by right"
        assert Path("/proc", written.read_text()).exists()
    assert not Path("/proc", written.read_text()).exists()


def test_a_file_that_is_not_there_is_empty_and_one_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written down in the repository is not taken for nothing because its disk is ill."""
    stand_in = tmp_path / "ssh"
    stand_in.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    opened = session(tmp_path)
    written, folder = tmp_path / "written", tmp_path / "folder"
    written.write_text("a line\n")
    folder.mkdir()
    assert opened.recorded("ops1", str(written)) == "a line\n"
    assert opened.recorded("ops1", str(tmp_path / "missing")) == ""
    with pytest.raises(subprocess.CalledProcessError):
        opened.recorded("ops1", str(folder))


@pytest.mark.parametrize(
    ("script", "error", "sentence"),
    [
        ("echo no space >&2; exit 3", subprocess.CalledProcessError, "db1: `df -h /var` ended with status 3: no space. Look at"),
        ("echo said; exit 3", subprocess.CalledProcessError, "db1: `df -h /var` ended with status 3: said. Look at"),
        ("exit 3", subprocess.CalledProcessError, "db1: `df -h /var` ended with status 3: it said nothing. Look at"),
        ("echo at work >&2; exec sleep 20", subprocess.TimeoutExpired, "db1: `df -h /var` did not end within 1 s: at work. Look at"),
    ],
)  # fmt: skip
def test_a_command_that_fails_names_its_host_itself_and_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, error: type[Exception], sentence: str
) -> None:
    stand_in(tmp_path, monkeypatch, f"#!/bin/sh\n{script}\n")
    with pytest.raises(error) as failed:
        session(tmp_path).run("db1", "df -h /var", timeout=1)
    assert isinstance(failed.value, KeelError)
    assert str(failed.value).startswith(sentence)


SOCKET_SSH = """#!/usr/bin/env python3
import socket, sys
if {fails}:
    sys.exit("Permission denied")
local = sys.argv[sys.argv.index("-L") + 1].split(":")[0]
listener = socket.socket(socket.AF_UNIX)
listener.bind(local)
listener.listen()
listener.accept()
"""


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program that ssh is, first on PATH."""
    (folder / "bin").mkdir()
    (folder / "bin" / "ssh").write_text(script)
    (folder / "bin" / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


def test_a_superuser_comes_through_the_leaders_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-21: the connection has an end of its own when nothing answers."""
    stand_in(tmp_path, monkeypatch, SOCKET_SSH.format(fails=False))
    asked: list[dict[str, object]] = []

    def connect(**how: object) -> MagicMock:
        asked.append(how)
        return MagicMock()

    monkeypatch.setattr("psycopg.connect", connect)
    monkeypatch.setattr(Session, "leader", lambda self: self.manifest.host("db2"))
    with session(tmp_path).superuser() as superuser:
        superuser.connect("ruleiq")
        assert (superuser.directory / ".s.PGSQL.5432").is_socket()
        superuser.look("ruleiq")
    for how, user in zip(asked, ("postgres", "keel_look"), strict=True):
        wanted = {"host": str(superuser.directory), "user": user, "dbname": "ruleiq", "connect_timeout": 10}
        assert {**how, **wanted} == how


def test_a_forward_that_ends_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, SOCKET_SSH.format(fails=True))
    with (
        pytest.raises(Unreachable, match=r"^the SSH tunnel to db1 ended: Permission denied"),
        session(tmp_path).forward("db1", "/run/x"),
    ):
        pytest.fail("nothing was forwarded")
    with (
        pytest.raises(Unreachable, match=r"^the SSH tunnel to db1 ended:"),
        session(tmp_path).tunnel(session(tmp_path).manifest.hosts[0], 5000),
    ):
        pytest.fail("nothing was forwarded")


@pytest.mark.parametrize("tunnel", [False, True])
def test_a_forward_is_awaited_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tunnel: bool) -> None:
    """An ssh that lives and forwards nothing; what it said is told."""
    said = tmp_path / "said"
    stand_in(tmp_path, monkeypatch, f"#!/bin/sh\necho 'channel 2: open failed' >&2; touch {said}; exec sleep 60\n")
    clock, opened = Clock(monkeypatch), session(tmp_path)
    connects = module._connects

    def refused(where: Path | int) -> bool:
        while not said.exists():
            time.sleep(0.01)
        return connects(where)

    monkeypatch.setattr(module, "_connects", refused)
    reached = opened.tunnel(opened.manifest.hosts[0], 5000) if tunnel else opened.forward("db1", "/run/x")
    with (
        pytest.raises(Unreachable, match=r"^waited 10 s for the SSH tunnel to db1:\n .*\n    channel 2: open failed$"),
        reached,
    ):
        pytest.fail("nothing was forwarded")
    assert clock.now == pytest.approx(10)
    assert set(clock.waits) == {0.05}


@pytest.mark.parametrize("primary", [5220, None])
def test_the_primary_is_reached_where_it_is_published_or_by_a_tunnel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, primary: int | None
) -> None:
    """PLAT-21: from the edge, past the pooler."""
    opened = session(tmp_path)
    endpoints = opened.manifest.endpoints.model_copy(update={"primary": primary, "address": "192.0.2.1"})
    opened = replace(opened, manifest=opened.manifest.model_copy(update={"endpoints": endpoints}))

    @contextmanager
    def tunnel(_self: Session, host: HostEntry, remote: int) -> Iterator[int]:
        assert (host.name, remote) == ("edge1", opened.manifest.ports.primary)
        yield 40000

    monkeypatch.setattr(Session, "tunnel", tunnel)
    with opened.direct() as place:
        assert place == (("192.0.2.1", 5220) if primary else ("127.0.0.1", 40000))


def test_a_url_verifies_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-39: whatever is in the password."""
    monkeypatch.setattr(Roots, "password", lambda _, role: f"{role}/@?")
    url = session(tmp_path).url("ruleiq_user", "ruleiq", "db", 5432)
    assert (
        url
        == f"postgresql://ruleiq_user:ruleiq_user%2F%40%3F@db:5432/ruleiq?sslmode=verify-full&sslrootcert={tmp_path}/ca.crt"
    )


@pytest.mark.parametrize("silence", [Unreachable("db1"), subprocess.TimeoutExpired("ssh", 15), NO_PRIMARY], ids=str)
def test_the_leader_is_who_says_so(tmp_path: Path, silence: str | BaseException) -> None:
    """One that does not answer, or is no primary, keeps nobody from asking the next."""
    asked = hosts(tmp_path)
    asked.says.update({("db1", "https://10.88.0.11:8008/primary"): silence, ("db2", "/primary"): ""})
    assert asked.leader().name == "db2"
    assert asked.asked("/primary") == [("db1", 15), ("db2", 15)]
    for _, command, _ in asked.ran:
        assert " -f " in command, "503 says that it does not lead"
        assert "--cacert /etc/keel/ca.crt --cert " in command and " -k " not in command
    asked.says["db2", "/primary"] = silence
    with pytest.raises(Unreachable, match=r"no primary in dev: none of \['db1', 'db2'\] says that it leads"):
        asked.leader()


@pytest.mark.parametrize("status", [43, 58])
def test_another_host_asks_where_the_leaders_key_pair_is_no_good(tmp_path: Path, status: int) -> None:
    """PLAT-48: a certificate that is gone must not hide what else was changed; curl says so by its exit status."""
    asked = hosts(tmp_path)
    no_pair = subprocess.CalledProcessError(status, "curl")
    asked.says.update(
        {("db1", "https://10.88.0.11:8008/primary"): no_pair, ("db2", "10.88.0.12:8008/primary"): NO_PRIMARY}
    )
    asked.says["db2", "https://10.88.0.11:8008/primary"] = ""
    assert asked.leader().name == "db1"
    assert asked.asked("/primary") == [("db1", 15), ("db2", 15), ("db2", 15)]


def test_what_ssh_could_not_do_is_no_failure_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def ssh(argv: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
        asked.append(how)
        return subprocess.CompletedProcess(argv, int(argv[-1]), "out", "No route to host\n")

    monkeypatch.setattr(subprocess, "run", ssh)
    opened = session(tmp_path)
    assert opened.run("db1", "0") == "out"
    with pytest.raises(Unreachable, match=r"^db1 cannot be reached by SSH on 127.0.0.1:2201: No route to host$"):
        opened.run("db1", "255", timeout=5)
    for status in ("1", "254"):
        with pytest.raises(subprocess.CalledProcessError):
            opened.run("db1", status, given="words")
    as_text = {"capture_output": True, "text": True}
    assert asked[:3] == [
        {"timeout": 60, "input": "", **as_text},
        {"timeout": 5, "input": "", **as_text},
        {"timeout": 60, "input": "words", **as_text},
    ]


CONFIG = """Host db1
  HostName 127.0.0.1
  Port 2201
  User root
  IdentityFile {0}/id_ed25519
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {0}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
  ConnectTimeout 5
  ServerAliveInterval 10
  ServerAliveCountMax 6
  LogLevel ERROR
  ControlMaster auto
  ControlPath {0}/mux-%n
  ControlPersist 600
"""


def test_what_a_session_writes_is_for_its_user_and_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-11: keys are in memory, in a folder and in files that nobody else may read, whatever the umask is."""
    said = tmp_path / "said"
    stand_in(tmp_path, monkeypatch, f'#!/bin/sh\necho "$@" >> {said}\n')
    made = environment()
    before = os.umask(0)
    try:
        with open_session(made.manifest, made.roots) as opened:
            folder = opened.folder
            modes = {
                path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, export(opened), *folder.iterdir())
            }
            assert adopt(folder / "context.json") == opened
            assert opened.ssh_config.read_text().split("\n\n")[0] + "\n" == CONFIG.format(folder)
            assert opened.ca.read_text() == ca_certificate(made.roots)
            (folder / "mux-db2").touch()
    finally:
        os.umask(before)
    files = ("context.json", "id_ed25519", "known_hosts", "ssh_config", "ca.crt")
    assert modes == {folder.name: 0o700, **dict.fromkeys(files, 0o600)}
    assert folder.parent == Path("/dev/shm")
    assert not folder.exists()
    assert said.read_text() == f"-F {folder}/ssh_config -O exit db2\n", "only the connection that is there ends"


def test_a_host_is_pinned_by_address_and_port(tmp_path: Path) -> None:
    host = session(tmp_path).manifest.host("db1")
    assert module._known_host(host) == f"[127.0.0.1]:2201 {host.ssh.host_key}\n"
    usual = host.model_copy(update={"ssh": host.ssh.model_copy(update={"port": 22})})
    assert module._known_host(usual) == f"127.0.0.1 {host.ssh.host_key}\n"


def test_the_folders_of_killed_sessions_go(tmp_path: Path) -> None:
    """PLAT-11: and no others: not of a living one, not of another program."""
    process = subprocess.Popen(["true"])
    process.wait()
    dead, alive, other = (
        tmp_path / name for name in (f"keel-session-{process.pid}-a", f"keel-session-{os.getpid()}-b", "x-1-c")
    )
    for folder in (dead, alive, other):
        folder.mkdir()
        (folder / "id_ed25519").touch()
    module._sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted((alive, other))
