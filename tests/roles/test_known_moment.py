"""The program that records a known moment, without a server: what it writes down and what it forgets."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.roles.test_drill import known, library

__all__ = ["known", "library"]
MOMENT = {
    "environment": "dev", "system": "7000", "name": "known-2", "lsn": "0/7000100", "wal": "000000020000000000000007",
    "time": "2026-11-22T02:05:00+00:00", "tables": {"ruleiq": {"public.a": [2, "77"], "public.b": [3, "1"]}}, "moving": {"ruleiq": ["public.c"]},
}  # fmt: skip


def test_a_moment_is_kept_as_long_as_backups_are(known: Any, library: Path) -> None:
    """PLAT-33, PLAT-35: thirty days; no backup reaches one that is older."""
    folder = library / "volume" / "known-moments"
    for name, age in (("29d", 30 * 86400 - 60), ("30d", 30 * 86400 + 60)):
        (folder / f"{name}.json").write_text("{}")
        os.utime(folder / f"{name}.json", (time.time() - age,) * 2)
    known.keep(MOMENT)
    assert sorted(path.name for path in folder.iterdir()) == ["29d.json", "known-2.json"]
    assert json.loads((folder / "known-2.json").read_text()) == MOMENT


def test_restore_points_are_added_line_by_line(known: Any, library: Path) -> None:
    """PLAT-34: those of migrations are in the same list."""
    points = library / "volume" / "restore-points.jsonl"
    points.write_text('{"name": "of a migration"}\n')
    known.keep(MOMENT)
    first, second = map(json.loads, points.read_text().splitlines())
    assert first == {"name": "of a migration"}
    assert second == {"name": "known-2", "lsn": "0/7000100", "time": MOMENT["time"], "database": "ai_assistant"}


class Naming:
    """A connection that writes down what it is asked."""

    def __init__(self, where: str, asked: list[str]) -> None:
        self.where, self.asked = where, asked

    def execute(self, query: str) -> None:
        """Of the connection that names the moment."""
        self.asked.append(f"{self.where.rpartition('=')[2]}: {query}")


def test_a_moment_lies_between_commits_and_is_archived_at_once(
    known: Any, library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PLAT-35: two connections to each product, read for before and after; then a commit, and another segment."""
    asked: list[str] = []
    opened: list[str] = []

    @contextmanager
    def connect(where: str) -> Iterator[Naming]:
        opened.append(where)
        yield Naming(where, asked)

    def record(sessions: dict[str, tuple[Any, Any]], naming: Any) -> dict[str, Any]:
        assert {
            name: (first.where[-len(name) :], second.where[-len(name) :]) for name, (first, second) in sessions.items()
        } == {name: (name, name) for name in known.PRODUCTS}
        asked.append("recorded")
        return MOMENT

    monkeypatch.setattr(known, "connect", connect)
    monkeypatch.setattr(known, "record", record)
    assert known.main() == 0
    assert len(opened) == 2 * len(known.PRODUCTS) + 1
    assert asked == ["recorded", "ai_assistant: select pg_current_xact_id()", "ai_assistant: select pg_switch_wal()"]
    assert (library / "volume" / "known-moments" / "known-2.json").exists()
    said = "known-2: 2 tables, 5 rows; 1 tables were being written and are left out\n"
    assert capsys.readouterr().out == said
