"""The logical dumps."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.roles.programs import run, stand_in
from tests.roles.targets import files


@pytest.fixture
def dump(tmp_path: Path) -> str:
    """The dump program with its folder in ``tmp_path`` and a server that answers."""
    stand_in(
        tmp_path,
        "pg_dump",
        'while [ $# -gt 0 ]; do [ "$1" = -f ] && { echo data > "$2"; exit; }; shift; done; echo data',
    )
    stand_in(tmp_path, "pg_restore", "")
    stand_in(tmp_path, "psql", "echo 18.6")
    text = files("jobs")["/usr/local/lib/keel/dump-databases"].content
    return text.replace("/var/lib/pgbackrest/dumps", str(tmp_path / "dumps"))


def test_each_dump_lies_beside_its_manifest(tmp_path: Path, dump: str) -> None:
    """PLAT-33, CF-28, BAC-34: size, checksum, server version; nothing under a waiting name is left."""
    (tmp_path / "dumps").mkdir()
    done = run(tmp_path, dump)
    assert done.returncode == 0, done.stderr
    found = sorted(path for path in (tmp_path / "dumps").rglob("*") if path.is_file())
    assert not [path for path in found if path.suffix == ".part"]
    manifests = [json.loads(path.read_text()) for path in found if path.suffix == ".json"]
    assert len(manifests) == 7 and len(found) == 14
    for manifest in manifests:
        path = tmp_path / "dumps" / manifest["database"] / manifest["file"]
        assert path.stat().st_size == manifest["bytes"] and path.stat().st_mode & 0o777 == 0o600
        assert manifest["server_version"] == "18.6" and len(manifest["sha256"]) == 64


def test_a_failed_dump_has_no_final_name_and_the_others_are_made(tmp_path: Path, dump: str) -> None:
    """PLAT-32, Q-34."""
    (tmp_path / "dumps").mkdir()
    stand_in(
        tmp_path, "pg_dump",
        'case "$*" in *dbname=ruleiq*) echo no such role >&2; exit 1;; esac; '
        'while [ $# -gt 0 ]; do [ "$1" = -f ] && { echo data > "$2"; exit; }; shift; done; echo data',
    )  # fmt: skip
    done = run(tmp_path, dump)
    assert done.returncode == 1 and "not dumped: ruleiq: pg_dump: no such role" in done.stderr
    assert list((tmp_path / "dumps" / "ruleiq").glob("*.dump")) == []
    assert len(list((tmp_path / "dumps").rglob("backup_*.dump"))) == 4


def test_old_dumps_go_and_the_newest_stays(tmp_path: Path, dump: str) -> None:
    """PLAT-33, BAC-34: 30 days; never the newest good one."""
    folder = tmp_path / "dumps" / "ruleiq"
    folder.mkdir(parents=True)
    for name in ("backup_20200101.dump", "backup_20200102.dump"):
        (folder / name).touch()
        os.utime(folder / name, (0, 0))
    assert run(tmp_path, dump).returncode == 0
    assert len(list(folder.glob("*.dump"))) == 1
    stand_in(tmp_path, "pg_dump", "exit 1")
    for path in folder.glob("*.dump"):
        os.utime(path, (0, 0))
    assert run(tmp_path, dump).returncode == 1
    assert len(list(folder.glob("*.dump"))) == 1
