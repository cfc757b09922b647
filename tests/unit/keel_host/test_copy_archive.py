"""What copies the archive into the second repository."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from keel_host import metrics
from keel_host.config import BackupHost
from tests.stand_ins import calls, stand_in
from tests.unit.keel_host.hosts import backup_host, run

SEGMENTS = ("000000010000000000000001", "000000010000000000000002", "000000010000000000000003")


@pytest.fixture
def host(tmp_path: Path) -> BackupHost:
    """A backup host that copies the archive; its first repository is a folder, the second one `pushed`."""
    host = backup_host(tmp_path, repositories={"": 1, "-second": 2}, copies_at_once=1)
    archive = host.archive / "18-1" / "0000000100000000"
    archive.mkdir(parents=True)
    for name in SEGMENTS:
        content = name.encode()
        digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        (archive / f"{name}-{digest}.gz").write_bytes(gzip.compress(content))
    (archive.parent / "00000002.history").write_text("history")
    (archive.parent.parent / "archive.info").touch()
    (tmp_path / "pushed").mkdir()
    stand_in(tmp_path, "runuser", 'shift 3; exec "$@"')
    second(tmp_path, backups=True)
    return host


def copy(tmp_path: Path, host: BackupHost) -> subprocess.CompletedProcess[str]:
    """One run."""
    return run(tmp_path, host, "copy_archive")


def missing(host: BackupHost) -> float | None:
    """What the metrics say is missing."""
    return metrics.value(metrics.read(host.metrics / "copy_archive.prom"), "keel_copy_archive_missing_files")


def second(tmp_path: Path, *, backups: bool, code: int = 0, away: bool = False, runs: bool = False) -> None:
    """How the second repository answers; ``runs``: a backup is being made in it."""
    status = {"code": code, "message": "said", "lock": {"backup": {"held": runs}}}
    made = {
        "label": "A", "type": "full", "timestamp": {"start": 0, "stop": 1}, "lsn": {"start": "0/1", "stop": "0/2"},
        "archive": {"start": SEGMENTS[0], "stop": SEGMENTS[0]}, "info": {"size": 1}, "database": {"id": 1, "repo-key": 2},
    }  # fmt: skip
    held = {"name": "dev", "repo": [{"key": 2, "status": {"code": code, "message": "said"}}], "status": status}
    told = json.dumps([held | {"backup": [made] if backups else []}])
    stand_in(
        tmp_path, "pgbackrest",
        f"""case "$*" in *info) echo '{told}';; *repo-get*) cd {tmp_path}/volume/generation-1; for last; do :; done; cat "$last";;
        *archive-push*) {"echo connection refused >&2; exit 49" if away else ""}
        for last; do :; done; cp "$last" {tmp_path}/pushed;; esac""",
    )  # fmt: skip


def pushed(tmp_path: Path) -> set[str]:
    """What the second repository holds."""
    return {path.name for path in (tmp_path / "pushed").iterdir()}


def test_the_archive_is_copied_once(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-31: segments as the server wrote them, and histories; the second time there is nothing to do."""
    assert copy(tmp_path, host).returncode == 0
    assert pushed(tmp_path) == {*SEGMENTS, "00000002.history"}
    assert (tmp_path / "pushed" / SEGMENTS[0]).read_text() == SEGMENTS[0]
    (tmp_path / "calls").unlink()
    assert copy(tmp_path, host).returncode == 0
    assert "archive-push" not in calls(tmp_path)
    assert missing(host) == 0


def test_what_a_store_missed_follows_when_it_is_back(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-31, PLAT-32: and meanwhile that is told."""
    second(tmp_path, backups=True, away=True)
    failed = copy(tmp_path, host)
    assert failed.returncode == 1 and "connection refused" in failed.stderr and "4 files" in failed.stderr
    asked = [line for line in calls(tmp_path).splitlines() if line.startswith("pgbackrest") and "archive-push" in line]
    assert len(asked) == 1, "a store that is away is not asked for every file"
    assert missing(host) == 4
    second(tmp_path, backups=True)
    assert copy(tmp_path, host).returncode == 0
    assert len(pushed(tmp_path)) == 4


def test_damage_is_not_copied_and_holds_nothing_else_up(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-35."""
    broken = next(tmp_path.rglob(f"{SEGMENTS[1]}-*"))
    broken.write_bytes(gzip.compress(b"something else"))
    failed = copy(tmp_path, host)
    assert failed.returncode == 1 and f"{SEGMENTS[1]}" in failed.stderr and "is damaged" in failed.stderr
    assert pushed(tmp_path) == {SEGMENTS[0], SEGMENTS[2], "00000002.history"}


def test_what_no_backup_in_the_second_repository_needs_is_not_copied(tmp_path: Path, host: BackupHost) -> None:
    """A second repository that is new begins with the present, not with thirty days of WAL."""
    second(tmp_path, backups=False, code=1)
    assert copy(tmp_path, host).returncode == 0
    assert pushed(tmp_path) == set()


def test_what_its_first_backup_begins_with_is_copied(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-31: it waits for that segment, which may be archived before the copying begins."""
    second(tmp_path, backups=False, code=2, runs=True)
    assert copy(tmp_path, host).returncode == 0
    assert pushed(tmp_path) == {*SEGMENTS, "00000002.history"}


def test_copying_does_not_begin_before_the_second_repository_answers(tmp_path: Path, host: BackupHost) -> None:
    second(tmp_path, backups=False, code=99)
    failed = copy(tmp_path, host)
    assert failed.returncode == 1 and "does not answer" in failed.stderr
    assert not host.copied.exists()


def test_what_is_missing_is_said_before_it_is_copied(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-31: a store that hangs keeps a copy for minutes, and the number must be right meanwhile."""
    program = tmp_path / "pgbackrest"
    during = f'case "$*" in *archive-push*) cp -n {host.metrics}/copy_archive.prom {tmp_path}/during.prom;; esac'
    program.write_text(program.read_text().replace("\n", f"\n{during}\n", 1))
    assert copy(tmp_path, host).returncode == 0
    found = metrics.value(metrics.read(tmp_path / "during.prom"), "keel_copy_archive_missing_files")
    assert found == len(SEGMENTS) + 1, "segments and a history"
    assert missing(host) == 0
