"""How Patroni makes a cluster."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.stand_ins import calls, stand_in
from tests.unit.keel_host.hosts import member, run


def bootstrap(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The bootstrap method, its order and its server's programs in ``tmp_path``."""
    stand_in(tmp_path, "initdb", "")
    return run(tmp_path, member(tmp_path), "bootstrap", "--scope=dev", f"--datadir={tmp_path}/main")


def answer(tmp_path: Path, code: int, message: str) -> None:
    """pgBackRest answers with this status."""
    said = json.dumps([{"name": "dev", "status": {"code": code, "message": message}}])
    stand_in(tmp_path, "pgbackrest", f"echo '{said}'")


def test_a_cluster_is_made_where_the_repository_holds_none(tmp_path: Path) -> None:
    """PLAT-02."""
    answer(tmp_path, 1, "missing stanza path")
    assert bootstrap(tmp_path).returncode == 0
    asked = next(line for line in calls(tmp_path).splitlines() if line.startswith("initdb"))
    assert asked.startswith(f"initdb -D {tmp_path}/main ")
    assert {"--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"} <= set(asked.split())


@pytest.mark.parametrize(
    ("code", "message"), [(0, "ok"), (2, "no valid backups"), (3, "missing stanza data"), (99, "other")]
)
def test_no_empty_cluster_is_made_over_a_repository(tmp_path: Path, code: int, message: str) -> None:
    """PLAT-36: whoever started it."""
    answer(tmp_path, code, message)
    done = bootstrap(tmp_path)
    assert done.returncode == 1
    assert "initdb" not in calls(tmp_path)
    assert message in done.stderr and "keel:recovery" in done.stderr and "Nothing was changed" in done.stderr


def test_no_cluster_is_made_while_the_repository_does_not_answer(tmp_path: Path) -> None:
    """PLAT-36: not to know is not to be sure."""
    stand_in(tmp_path, "pgbackrest", "echo no route to host >&2; exit 49")
    done = bootstrap(tmp_path)
    assert done.returncode == 1 and "no route to host" in done.stderr
    assert "initdb" not in calls(tmp_path)


def test_an_ordered_recovery_is_carried_out_on_what_was_there(tmp_path: Path) -> None:
    """PLAT-34: what an interrupted recovery fetched is not fetched again."""
    stand_in(tmp_path, "pgbackrest", "")
    order = {"token": "t", "options": ["--type=time", "--target=2026-11-22 08:00:00+00"]}
    (tmp_path / "keel-recovery.json").write_text(json.dumps(order))
    (tmp_path / "main.restoring").mkdir()
    (tmp_path / "main.restoring" / "kept").touch()
    assert bootstrap(tmp_path).returncode == 0
    assert (tmp_path / "main" / "kept").exists()
    (called,) = calls(tmp_path).splitlines()
    assert "--delta" in called and "--target=2026-11-22 08:00:00+00" in called and called.endswith("restore")
    assert "restore_command=/usr/local/lib/keel/fetch-wal everywhere %f" in called and "--repo" not in called
