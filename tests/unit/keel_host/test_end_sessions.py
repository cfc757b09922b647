"""What the program that ends sessions does with psql's answers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keel_host.backends import Backend
from keel_host.config import Bound, Member
from keel_host.processes import Failed
from keel_host.programs import end_sessions
from keel_host.server import lines

NOWHERE = Path()
HOST = Member("", NOWHERE, NOWHERE, "", NOWHERE, "", 0, Path("/sockets"), "sessions", {"app": Bound(60, 600)})


def answering(monkeypatch: pytest.MonkeyPatch, status: int, said: str = "", error: str = "") -> list[Any]:
    """psql answers this; the commands that were given."""
    given: list[Any] = []

    def run(command: tuple[str, ...], **_: Any) -> SimpleNamespace:
        given.append(command)
        return SimpleNamespace(returncode=status, stdout=said, stderr=error)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(end_sessions, "read", lambda _: HOST)
    return given


def test_it_asks_its_own_server_by_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the login that can do no more, with nothing but the catalogue on its path (W0, W9)."""
    given = answering(monkeypatch, 0)
    lines(HOST, "select 1")
    (command,) = given
    assert command[-1] == (
        "host=/sockets dbname=postgres user=sessions connect_timeout=5 options=-csearch_path=pg_catalog"
    )
    assert 'bounds=[{"login": "app", "idle_transaction": 60, "transaction": 600}]' in command


def test_each_end_is_a_notice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answering(monkeypatch, 0, "ended a\nended b\n")
    assert end_sessions.main([]) == 0
    assert capsys.readouterr().out == "ended a\nended b\n"


def test_without_a_server_there_is_nothing_to_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, 2, error="connection refused")
    assert (end_sessions.main([]), capsys.readouterr().err) == (0, "")


def test_a_server_that_refuses_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answering(monkeypatch, 3, error="ERROR: no\n")
    assert (end_sessions.main([]), capsys.readouterr().err) == (1, "psql: ERROR: no\n")


def test_a_server_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("psql", 20)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(Failed, match="did not answer within 20 s"):
        lines(HOST, "select 1")


def test_an_earlier_releases_file_bounds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs of a host are renewed before its settings are."""
    given = answering(monkeypatch, 0, "ended a\n")
    old = Member("", NOWHERE, NOWHERE, "", NOWHERE, "", 0)
    assert (lines(old, "select 1"), given) == ([], [])


def test_where_no_one_can_log_in_programs_in_a_transaction_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """W9: one session had filled the table of locks. Who is idle, or is no product's program, holds none of them, or may."""
    found = [
        Backend(1, "app", "one", "idle in transaction"),
        Backend(2, "app", "one", "idle"),
        Backend(3, "app", "two", "DO"),
        Backend(4, "migrator", "one", "idle in transaction"),
    ]
    ended: list[tuple[int, int]] = []
    monkeypatch.setattr(end_sessions, "backends", lambda: found)
    monkeypatch.setattr(os, "kill", lambda *which: ended.append(which))
    answering(monkeypatch, 2, error="psql: error: FATAL:  out of shared memory\n")
    assert end_sessions.main([]) == 0
    assert sorted(ended) == [(1, 15), (3, 15)]
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "ended app on one: the table of locks is full, and no one could log in",
        "ended app on two: the table of locks is full, and no one could log in",
    ]
