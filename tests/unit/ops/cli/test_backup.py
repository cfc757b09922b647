"""`keel backup list` whole: every cell of its tables, with its unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from keel_host import pgbackrest
from ops.backup import gaps, jobs, repository, restore_points
from ops.cli.app import app
from ops.cli.backup import _backups
from tests.unit.cli_fakes import opened, session

MIB = 2**20
BEGAN = 1_795_154_400
"""2026-11-20 06:00 UTC."""
SHA256 = "0123456789abcdef" * 4


def backup(label: str, began: int, size: int, stored: int, *, error: bool = False) -> dict[str, Any]:
    """One of two minutes, as `pgbackrest info` tells it."""
    return {
        "label": label, "type": "full", "prior": None, "error": error, "timestamp": {"start": began, "stop": began + 120},
        "archive": {"start": "00000001000000000000000A", "stop": "00000001000000000000000B"},
        "lsn": {"start": "0/A000028", "stop": "0/B000000"}, "database": {"id": 1, "repo-key": 1},
        "info": {"size": size, "delta": 1, "repository": {"delta": stored}},
    }  # fmt: skip


HELD: dict[str, Any] = {
    "name": "dev", "status": {"code": 0, "message": "ok"}, "db": [{"id": 1, "version": "18"}],
    "backup": [backup("first", BEGAN, 100 * MIB, 25 * MIB // 10), backup("second", BEGAN + 86_400, 300 * MIB, MIB, error=True)],
}  # fmt: skip


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of each line that is printed."""
    monkeypatch.setenv("ENV", "dev")
    opened(monkeypatch, session(tmp_path))
    dump = {
        "database": "ruleiq", "file": "ruleiq.dump", "started": str(BEGAN), "bytes": str(3 * MIB // 2),
        "server_version": "18.6", "sha256": SHA256,
    }  # fmt: skip
    point = {"name": "ruleiq-007-008", "time": "10:00", "lsn": "0/2500"}
    monkeypatch.setattr(repository, "stanza", lambda _: pgbackrest.stanza(HELD))
    monkeypatch.setattr(jobs, "dumps", lambda _: [dump])
    monkeypatch.setattr(restore_points, "recorded", lambda _: [point])
    monkeypatch.setattr(gaps, "unreachable", lambda _: [])
    done = CliRunner().invoke(app, ["backup", "list"])
    assert done.exit_code == 0, done.output
    return [line.split() for line in done.stdout.splitlines()]


def test_each_backup_has_its_line(listed: list[list[str]]) -> None:
    """PLAT-33: sizes in MiB, times in UTC; every moment since the end of the oldest can be reached."""
    title = ["Backups", "of", "dev:", "any", "moment", "from", "2026-11-20", "06:02:00", "UTC"]
    assert title in listed
    place = ["1", "(backup", "volume)", "full"]
    wal = ["18", "00000001000000000000000A", "00000001000000000000000B"]
    assert ["first", *place, "2026-11-20", "06:00:00", "120", "s", "100.0", "2.5", *wal, "ok"] in listed
    assert ["second", *place, "2026-11-21", "06:00:00", "120", "s", "300.0", "1.0", *wal, "damaged", "pages"] in listed


def test_each_dump_and_restore_point_has_its_line(listed: list[list[str]]) -> None:
    """Sixteen digits of the checksum are enough to tell two dumps apart."""
    assert ["ruleiq", "ruleiq.dump", "2026-11-20", "06:00:00", "1.5", "18.6", SHA256[:16]] in listed
    assert ["ruleiq-007-008", "10:00", "0/2500"] in listed


def test_without_a_backup_the_list_says_why(tmp_path: Path) -> None:
    held = pgbackrest.stanza({"name": "dev", "status": {"code": 2, "message": "no valid backups"}})
    title = getattr(_backups(held, session(tmp_path).manifest.repository), "title", "")
    assert title == "Backups of dev: no valid backups"
