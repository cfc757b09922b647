"""The program that records a known moment, without a server: what it writes down and what it forgets."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keel_host.config import BackupHost
from keel_host.known import KnownMoment, keep, newest
from keel_host.programs import known_moment
from tests.unit.keel_host.hosts import backup_host

MOMENT = KnownMoment(
    environment="dev", system="7000", name="known-2", lsn="0/7000100", wal="000000020000000000000007",
    time="2026-11-22T02:05:00+00:00", tables={"ruleiq": {"public.a": [2, "77"], "public.b": [3, "1"]}}, moving={"ruleiq": ["public.c"]},
)  # fmt: skip


@pytest.fixture
def host(tmp_path: Path) -> BackupHost:
    """A backup host, with its volume in a folder."""
    return backup_host(tmp_path)


def test_a_moment_is_kept_as_long_as_backups_are(host: BackupHost) -> None:
    """PLAT-33, PLAT-35: thirty days; no backup reaches one that is older."""
    folder = host.known_moments
    for name, age in (("29d", 30 * 86400 - 60), ("30d", 30 * 86400 + 60)):
        (folder / f"{name}.json").write_text("{}")
        os.utime(folder / f"{name}.json", (time.time() - age,) * 2)
    keep(host, MOMENT)
    assert sorted(path.name for path in folder.iterdir()) == ["29d.json", "known-2.json"]
    assert newest(folder) == MOMENT


def test_restore_points_are_added_line_by_line(host: BackupHost) -> None:
    """PLAT-34: those of migrations are in the same list."""
    points = host.restore_points
    points.write_text('{"name": "of a migration"}\n')
    keep(host, MOMENT)
    first, second = map(json.loads, points.read_text().splitlines())
    assert first == {"name": "of a migration"}
    assert second == {"name": "known-2", "lsn": "0/7000100", "time": MOMENT.time, "database": "ai_assistant"}


class Naming:
    """A connection that writes down what it is asked."""

    def __init__(self, where: str, asked: list[str]) -> None:
        self.where, self.asked = where, asked

    def execute(self, query: str) -> None:
        """Of the connection that names the moment."""
        self.asked.append(f"{self.where.rpartition('=')[2]}: {query}")


def test_a_moment_lies_between_commits_and_is_archived_at_once(
    host: BackupHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PLAT-35: two connections to each product, read for before and after; then a commit, and another segment."""
    asked: list[str] = []
    opened: list[str] = []

    @contextmanager
    def connect(where: str) -> Iterator[Naming]:
        opened.append(where)
        yield Naming(where, asked)

    def record(environment: str, sessions: dict[str, tuple[Any, Any]], naming: Any) -> KnownMoment:
        assert environment == "dev"
        assert {
            name: (first.where[-len(name) :], second.where[-len(name) :]) for name, (first, second) in sessions.items()
        } == {name: (name, name) for name in host.products}
        asked.append("recorded")
        return MOMENT

    monkeypatch.setattr(known_moment, "read", lambda _: host)
    monkeypatch.setattr(known_moment, "connect", connect)
    monkeypatch.setattr(known_moment, "record", record)
    assert known_moment.main([]) == 0
    assert len(opened) == 2 * len(host.products) + 1
    assert asked == ["recorded", "postgres: select pg_current_xact_id()", "postgres: select pg_switch_wal()"]
    assert (host.known_moments / "known-2.json").exists()
    said = "known-2: 2 tables, 5 rows; 1 tables were being written and are left out\n"
    assert capsys.readouterr().out == said


def test_what_was_written_at_the_moment_is_left_out() -> None:
    """PLAT-35: only what is certain is compared: the same before and after, and not locked for writing."""
    before = {"public.still": [1, "1"], "public.changed": [1, "1"], "public.locked": [1, "1"], "public.gone": [1, "1"]}
    after = {"public.still": [1, "1"], "public.changed": [1, "2"], "public.locked": [1, "1"], "public.new": [0, "0"]}
    certain, moving = known_moment.still(before, after, {"public.locked"})
    assert certain == {"public.still": [1, "1"]}
    assert moving == ["public.changed", "public.gone", "public.locked", "public.new"]


def test_a_moment_that_cannot_be_recorded_is_told(
    host: BackupHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PLAT-32: with the server's words, and nothing is written down."""

    def refuse(where: str) -> Any:
        raise psycopg.OperationalError("connection refused\n")

    monkeypatch.setattr(known_moment, "read", lambda _: host)
    monkeypatch.setattr(known_moment, "connect", refuse)
    assert known_moment.main([]) == 1
    assert capsys.readouterr().err == "no known moment was recorded: connection refused\n"
    assert not list(host.known_moments.iterdir()) and not host.restore_points.exists()
