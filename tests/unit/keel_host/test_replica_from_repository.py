"""How Patroni makes a replica of a large cluster."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.stand_ins import calls, stand_in
from tests.unit.keel_host.hosts import member, run


def replica(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """How Patroni makes a replica of a cluster of more than 100 MiB."""
    host = member(tmp_path, replica_from_repository_above=100)
    arguments = ("--scope=dev", f"--datadir={tmp_path}/main", "--role=replica")
    return run(tmp_path, host, "replica_from_repository", *arguments)


def holding(tmp_path: Path, *backups: tuple[str, int, bool], fork: str = "") -> None:
    """The repository holds backups of the first timeline: label, MiB, damaged; the second one left it at ``fork``."""
    made = [
        {
            "label": label, "error": error, "info": {"size": size * 2**20}, "type": "full",
            "archive": {"start": "000000010000000000000001", "stop": "000000010000000000000001"},
            "lsn": {"start": "0/1", "stop": f"0/{number}000"}, "timestamp": {"start": number, "stop": number},
            "database": {"id": 1, "repo-key": 1},
        }
        for number, (label, size, error) in enumerate(backups, start=1)
    ]  # fmt: skip
    status = {"code": 0, "message": "ok"}
    told = json.dumps([{"name": "dev", "status": status, "archive": [{"id": "18-1"}], "backup": made}])
    listed = "00000002.history" if fork else ""
    stand_in(
        tmp_path, "pgbackrest",
        f"""case "$*" in *info) echo '{told}';; *repo-ls*) echo {listed};; *repo-get*) echo "1 {fork} restored";; esac""",
    )  # fmt: skip


def test_a_large_cluster_is_restored_from_the_newest_whole_backup(tmp_path: Path) -> None:
    """Issue: replicas are created from the repository when that is quicker."""
    holding(tmp_path, ("A", 90, False), ("B", 101, False), ("C", 101, True))
    done = replica(tmp_path)
    assert done.returncode == 0 and "replica from backup B, 101 MiB" in done.stdout
    restore = calls(tmp_path).splitlines()[-1]
    assert restore.endswith("restore") and "--delta" in restore and "--set=B" in restore and "--repo=1" in restore
    assert "--type=preserve" in restore, "Patroni's recovery settings are the only ones"


@pytest.mark.parametrize(("fork", "label"), [("0/2000", "B"), ("0/1FFF", "A"), ("0/FFF", None)])
def test_a_backup_that_a_restore_left_behind_makes_no_replica(tmp_path: Path, fork: str, label: str | None) -> None:
    """PLAT-34: it holds what the primary never had, and could not follow it."""
    holding(tmp_path, ("A", 101, False), ("B", 101, False), ("C", 101, False), fork=fork)
    done = replica(tmp_path)
    assert (f"replica from backup {label}," in done.stdout) is bool(label) and (done.returncode == 0) is bool(label)


@pytest.mark.parametrize("backups", [[("A", 100 - 1, False)], [("A", 101, True)], []])
def test_otherwise_the_primary_is_copied(tmp_path: Path, backups: list[tuple[str, int, bool]]) -> None:
    """A small cluster, no whole backup, none at all: Patroni's next method is asked."""
    holding(tmp_path, *backups)
    done = replica(tmp_path)
    assert done.returncode == 1 and "no replica from the repository" in done.stdout
    assert "restore" not in calls(tmp_path)


def test_a_repository_that_does_not_answer_is_no_obstacle(tmp_path: Path) -> None:
    stand_in(tmp_path, "pgbackrest", "exit 49")
    assert replica(tmp_path).returncode == 1
