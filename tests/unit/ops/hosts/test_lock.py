"""One controller at a time: whoever holds the lock of a host is named, and it ends with the connection."""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ops import step
from ops.hosts import changes, lock
from ops.hosts.session import Session, Unreachable


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Two hosts, each a folder of this machine; `away` is a third that does not answer."""
    monkeypatch.setattr(lock, "PATH", "keel.lock")
    monkeypatch.setattr(changes, "PATH", "kept/changes.jsonl")
    monkeypatch.setattr(lock, "PATIENCE", 0.1)

    def ssh(host: str, command: str) -> list[str]:
        (tmp_path / host).mkdir(exist_ok=True)
        return ["false"] if host == "away" else ["bash", "-c", f"cd {tmp_path / host}; {command}"]

    def run(host: str, command: str, timeout: float) -> str:
        if host == "away":
            raise Unreachable(host)
        return subprocess.run(ssh(host, command), capture_output=True, text=True, check=True).stdout

    hosts = [SimpleNamespace(name=name) for name in ("db1", "away", "db2")]
    faked: Any = SimpleNamespace(ssh=ssh, run=run, manifest=SimpleNamespace(hosts=hosts))
    return faked  # type: ignore[no-any-return]


def somebody(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(changes, "controller", lambda: name)


def test_a_second_controller_is_told_who_is_first(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody(monkeypatch, "ann@elsewhere (process 7)")
    with lock.held(session, ["db1", "db2", "db2"]):
        somebody(monkeypatch, "ben@here (process 8)")
        with (
            pytest.raises(
                lock.Locked,
                match=r"^db2 is being changed by another controller: ann@elsewhere \(process 7\)\. Nothing was",
            ),
            lock.held(session, ["db2"]),
        ):
            pass
        with pytest.raises(lock.Locked, match=r"^db1 is being changed .*ann"):
            lock.refuse_others(session)
    with lock.held(session, ["db1"]):
        pass


def test_what_was_locked_before_a_refusal_is_free_again(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with lock.held(session, ["db2"]):
        with pytest.raises(lock.Locked), lock.held(session, ["db1", "db2"]):
            pass
        with lock.held(session, ["db1"]):
            pass


def test_a_controller_is_not_kept_off_by_itself(session: Session) -> None:
    """A stage and the databases of one `up` go on side by side."""
    with lock.held(session, ["db1"]):
        lock.refuse_others(session)


def test_a_host_that_does_not_answer_cannot_be_locked(session: Session) -> None:
    with pytest.raises(Unreachable, match="away cannot be locked"), lock.held(session, ["db1", "away"]):
        pass
    with lock.held(session, ["db1"]):
        pass


def test_looking_takes_no_lock(session: Session) -> None:
    lock.refuse_others(session)
    with lock.held(session, ["db1", "db2"]):
        pass


@pytest.mark.parametrize(("action", "refused"), [("databases", True), ("recovery", True), ("ready", False)])
def test_a_step_asks_before_it_changes_anything(monkeypatch: pytest.MonkeyPatch, action: str, refused: bool) -> None:
    """While a restore holds the lock an `up` is refused; steps that take the lock themselves do not ask."""
    done: list[str] = []

    def refuse(_session: Session, *, changes_it: bool) -> None:
        assert changes_it
        raise lock.Locked("db1 is being changed")

    class Opened:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    identity = {"name": "dev", "kind": "dev", "provider": "docker"}
    module: Any = SimpleNamespace(apply=lambda *_: done.append(action))
    monkeypatch.setattr(lock, "refuse_others", refuse)
    monkeypatch.setattr(step, "open_session", lambda *_: Opened())
    monkeypatch.setattr(step, "module_of", lambda _: module)
    request = {
        "action": action,
        "phase": "apply",
        "inputs": {"manifest": {"identity": identity}},
        "roots": {"access": "a", "pki": "p", "backup": "b"},
    }
    answer = io.StringIO()
    assert step.main(request, answer) == refused
    assert json.loads(answer.getvalue()) == ({"error": "db1 is being changed"} if refused else {"result": None})
    assert done == ([] if refused else [action])


def test_the_shell_waits_three_seconds_and_names_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than a look at the lock takes; the owner is one word to the shell."""
    somebody(monkeypatch, "o'neill@here (process 7)")
    assert lock.command().startswith(
        "exec 9>>/run/keel.lock; flock -w 3 9 || { cat /run/keel.lock.owner; exit 1; }; "
        "echo 'o'\"'\"'neill@here (process 7)' > /run/keel.lock.owner; "
    )
    assert lock.command().endswith("; echo held; exec cat >/dev/null")


@pytest.mark.parametrize("engine", [7, None])
def test_an_owner_is_the_engine_or_the_process(monkeypatch: pytest.MonkeyPatch, engine: int | None) -> None:
    """The steps of one `up` are one controller."""
    monkeypatch.setattr("processes.pulumi_engine.pid", lambda: engine)
    assert changes.controller().endswith(f" (process {engine or os.getpid()})")


def test_a_look_at_the_lock_is_short_and_who_answers_nothing_holds_nothing() -> None:
    asked: list[Any] = []

    def run(host: str, command: str, timeout: float) -> str:
        asked.append((host, timeout))
        if host == "db2":
            raise subprocess.TimeoutExpired("ssh", 15)
        return "\n"

    faked: Any = SimpleNamespace(run=run)
    assert [lock._holder(faked, False, host) for host in ("db1", "db2")] == ["", ""]
    assert asked == [("db1", 15), ("db2", 15)]


def test_a_connection_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """After five seconds: a command is not kept by a line that hangs."""
    waits: list[float | None] = []

    class Holder(subprocess.Popen[str]):
        def wait(self, timeout: float | None = None) -> int:
            waits.append(timeout)
            if timeout:
                raise subprocess.TimeoutExpired("ssh", timeout)
            return super().wait()

    monkeypatch.setattr(subprocess, "Popen", Holder)
    faked: Any = SimpleNamespace(ssh=lambda *_: ["sh", "-c", "echo held; exec sleep 60"])
    with lock.held(faked, ["db1"]):
        pass
    assert waits == [5, None]
