"""Who changed what last: hosts record each change as it begins, and one command's lines are one change."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ops.hosts import changes
from ops.hosts.session import Session, Unreachable


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Two hosts, each a folder of this machine, and one that is away."""
    monkeypatch.setattr(changes, "PATH", "kept/changes.jsonl")
    monkeypatch.setattr(changes, "_revision", lambda: "0.1.0")

    def run(host: str, command: str) -> str:
        if host == "away":
            raise Unreachable(host)
        (tmp_path / host).mkdir(exist_ok=True)
        return subprocess.run(
            ["bash", "-euc", command], cwd=tmp_path / host, capture_output=True, text=True, check=True
        ).stdout

    hosts = [SimpleNamespace(name=name) for name in ("db1", "db2", "away")]

    def recorded(host: str, path: str) -> str:
        return run(host, f"if [ -e {path} ]; then cat {path}; fi")

    faked: Any = SimpleNamespace(run=run, recorded=recorded, manifest=SimpleNamespace(hosts=hosts))
    return faked  # type: ignore[no-any-return]


def somebody(monkeypatch: pytest.MonkeyPatch, name: str, step: str = "", engine: int | None = None) -> None:
    monkeypatch.setattr(changes, "controller", lambda: name)
    monkeypatch.setattr("processes.pulumi_engine.pid", lambda: engine)
    monkeypatch.setattr(changes, "_step", step)
    monkeypatch.setattr("sys.argv", ["-m", "switchover", "--to", "db2's"])


def test_a_run_is_one_change_of_all_its_steps_and_hosts(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody(monkeypatch, "ann@elsewhere (process 7)", "converge base", 7)
    first = changes.command()
    for host in ("db1", "db2"):
        session.run(host, first)
    somebody(monkeypatch, "ann@elsewhere (process 7)", "databases", 7)
    session.run("db2", changes.command())
    somebody(monkeypatch, "ben@here (process 8)")
    session.run("db1", changes.command())
    (ben, ann), silent = changes.last(session)
    assert (ben.who, ben.command, ben.steps) == ("ben@here (process 8)", "./keel switchover --to db2's", ())
    assert (ann.who, ann.command, ann.steps) == (
        "ann@elsewhere (process 7)",
        "pulumi up",
        ("converge base", "databases"),
    )
    assert ann.began <= ann.last <= ben.began and ann.revision == "0.1.0" and silent == ["away"]


def test_a_line_that_was_cut_off_hides_no_other(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what somebody else wrote reach the terminal as a command."""
    somebody(monkeypatch, "ann\x1b[2J")
    session.run("db1", changes.command())
    session.run(
        "db1",
        "echo '{\"at\": \"20' >> kept/changes.jsonl; echo '[1]' >> kept/changes.jsonl; echo 7 >> kept/changes.jsonl",
    )
    (only,), _ = changes.last(session)
    assert only.who == "ann\\x1b[2J"


def test_the_record_stays_short_and_roots(session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(changes, "KEPT", 3)
    somebody(monkeypatch, "ann")
    for _ in range(5):
        session.run("db1", f"{changes.command()}; {changes.shortened()}")
    record = tmp_path / "db1" / "kept" / "changes.jsonl"
    assert len(record.read_text().splitlines()) == 5 and record.stat().st_mode & 0o077 == 0
    session.run("db1", f"{changes.command()}; {changes.shortened()}")
    assert len(record.read_text().splitlines()) == 3 and record.stat().st_mode & 0o077 == 0
    assert json.loads(record.read_text().splitlines()[-1])["who"] == "ann"
