"""The logical dumps."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from keel_host.config import BackupHost
from keel_host.programs.dump_databases import expire
from tests.stand_ins import calls, stand_in
from tests.unit.keel_host.hosts import backup_host, run


@pytest.fixture
def host(tmp_path: Path) -> BackupHost:
    """A backup host with a server that answers."""
    stand_in(
        tmp_path,
        "pg_dump",
        'while [ $# -gt 0 ]; do [ "$1" = -f ] && { echo data > "$2"; exit; }; shift; done; echo data',
    )
    stand_in(tmp_path, "pg_restore", "")
    stand_in(tmp_path, "psql", "echo 18.6")
    return backup_host(tmp_path)


def test_each_dump_lies_beside_its_manifest(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-33, CF-28, BAC-34: size, checksum, server version; nothing under a waiting name is left."""
    done = run(tmp_path, host, "dump_databases")
    assert done.returncode == 0, done.stderr
    found = sorted(path for path in host.dumps.rglob("*") if path.is_file())
    assert not [path for path in found if path.suffix == ".part"]
    manifests = [json.loads(path.read_text()) for path in found if path.suffix == ".json"]
    assert len(manifests) == 7 and len(found) == 14
    for manifest in manifests:
        path = host.dumps / manifest["database"] / manifest["file"]
        assert path.stat().st_size == manifest["bytes"] and path.stat().st_mode & 0o777 == 0o600
        assert manifest["server_version"] == "18.6" and time.time() - manifest["started"] < 60
        assert manifest["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_each_form_is_what_it_says(tmp_path: Path, host: BackupHost) -> None:
    """CF-28, BAC-34: custom format, with large objects, compressed as far as it goes; two tables alone; SQL text, gzipped."""
    assert run(tmp_path, host, "dump_databases").returncode == 0
    found = [line.split() for line in calls(tmp_path).splitlines() if line.startswith("pg_dump")]
    custom, plain = [line for line in found if "-F" in line], [line for line in found if "-F" not in line]
    for line in custom:
        at = line.index("-F")
        assert line[at : at + 5] == ["-F", "c", "-b", "-Z", "9"]
    selected = [[word for word in line if word.startswith("--table")] for line in custom if "selected_" in line[-1]]
    assert selected == [["--table=users", "--table=conversations"]]
    assert not [word for line in custom if "selected_" not in line[-1] for word in line if word.startswith("--table")]
    assert [line[line.index("-d") + 1 :][-1] for line in plain] == ["dbname=bacopilot"]
    listed = [line.split()[-1] for line in calls(tmp_path).splitlines() if line.startswith("pg_restore --list")]
    assert sorted(listed) == sorted(line[line.index("-f") + 1] for line in custom), "each is read back"
    today = time.strftime("%Y%m%d", time.gmtime())
    names = sorted(str(path.relative_to(host.dumps)) for path in host.dumps.rglob("*.dump"))
    products = ("ai_assistant", "bacopilot", "componentforge", "jeex_idea", "ruleiq")
    assert names == sorted(
        [*(f"{name}/backup_{today}.dump" for name in products), f"componentforge/selected_{today}.dump"]
    )
    (text,) = (host.dumps / "bacopilot").glob(f"bacopilot_backup_{today}_??????.sql.gz")
    assert gzip.decompress(text.read_bytes()) == b"data\n"
    assert (host.dumps / "ruleiq").stat().st_mode & 0o777 == 0o700


def test_a_failed_dump_has_no_final_name_and_the_others_are_made(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-32, Q-34."""
    stand_in(
        tmp_path, "pg_dump",
        'case "$*" in *dbname=ruleiq*) echo no such role >&2; exit 1;; esac; '
        'while [ $# -gt 0 ]; do [ "$1" = -f ] && { echo data > "$2"; exit; }; shift; done; echo data',
    )  # fmt: skip
    done = run(tmp_path, host, "dump_databases")
    assert done.returncode == 1 and "not dumped: ruleiq: pg_dump: no such role" in done.stderr
    assert list((host.dumps / "ruleiq").glob("*.dump")) == []
    assert len(list(host.dumps.rglob("backup_*.dump"))) == 4


def test_old_dumps_go_and_the_newest_stays(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-33, BAC-34: 30 days; never the newest good one."""
    folder = host.dumps / "ruleiq"
    folder.mkdir(parents=True)
    for name in ("backup_20200101.dump", "backup_20200102.dump"):
        (folder / name).touch()
        os.utime(folder / name, (0, 0))
    assert run(tmp_path, host, "dump_databases").returncode == 0
    assert len(list(folder.glob("*.dump"))) == 1
    stand_in(tmp_path, "pg_dump", "exit 1")
    for path in folder.glob("*.dump"):
        os.utime(path, (0, 0))
    assert run(tmp_path, host, "dump_databases").returncode == 1
    assert len(list(folder.glob("*.dump"))) == 1


@pytest.mark.parametrize("form", ["backup_{}.dump", "selected_{}.dump", "bacopilot_backup_{}.sql.gz"])
def test_a_dump_stays_thirty_days(tmp_path: Path, host: BackupHost, form: str) -> None:
    """PLAT-33, BAC-34: to the minute, of each form; its manifest goes with it."""
    folder = host.dumps / "ruleiq"
    folder.mkdir(parents=True)
    ages = {"31d": 31 * 86400, "30d": 30 * 86400 + 60, "29d": 30 * 86400 - 60, "new": 0}
    for name, age in ages.items():
        path = folder / form.format(name)
        for each in (path, path.with_name(f"{path.name}.json")):
            each.touch()
            os.utime(each, (time.time() - age,) * 2)
    expire(folder, host.retention)
    kept = [form.format(name) for name in ("29d", "new")]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*kept, *(f"{name}.json" for name in kept)])


def test_what_a_killed_run_left_goes(tmp_path: Path, host: BackupHost) -> None:
    """It is no dump and only fills the volume."""
    folder = host.dumps / "ruleiq"
    folder.mkdir(parents=True)
    (folder / "backup_20200101.dump.part").touch()
    assert run(tmp_path, host, "dump_databases").returncode == 0
    assert not list(folder.glob("*.part"))


def test_a_dump_that_cannot_be_read_back_has_no_final_name(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-32."""
    stand_in(tmp_path, "pg_restore", "echo could not read >&2; exit 1")
    done = run(tmp_path, host, "dump_databases")
    assert done.returncode == 1 and "ruleiq: pg_restore: could not read" in done.stderr
    assert not list(host.dumps.rglob("*.dump"))


def test_a_failed_plain_dump_is_reported(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-32, BAC-34: the custom one, made before it, stays."""
    stand_in(
        tmp_path, "pg_dump",
        'while [ $# -gt 0 ]; do [ "$1" = -f ] && { echo data > "$2"; exit; }; shift; done; echo lost >&2; exit 1',
    )  # fmt: skip
    done = run(tmp_path, host, "dump_databases")
    assert done.returncode == 1 and done.stderr == "not dumped: bacopilot: pg_dump: lost\n"
    assert [path.suffix for path in (host.dumps / "bacopilot").glob("*") if path.suffix in (".gz", ".dump")] == [
        ".dump"
    ]
