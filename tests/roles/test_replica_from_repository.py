"""How Patroni makes a replica of a large cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.roles.programs import calls, run, stand_in
from tests.roles.targets import files, manifest_of


@pytest.fixture
def replica(tmp_path: Path) -> str:
    """How Patroni makes a replica of a cluster of more than 100 MiB."""
    settings = manifest_of("dev").postgres.model_copy(update={"replica_from_repository_above": 100})
    return files("postgres", postgres=settings)["/usr/local/lib/keel/replica-from-repository"].content


def holding(tmp_path: Path, *backups: tuple[str, int, bool], fork: str = "") -> None:
    """The repository holds backups of the first timeline: label, MiB, damaged; the second one left it at ``fork``."""
    made = [
        {
            "label": label, "error": error, "info": {"size": size * 2**20},
            "archive": {"start": "000000010000000000000001"}, "lsn": {"stop": f"0/{number}000"},
        }
        for number, (label, size, error) in enumerate(backups, start=1)
    ]  # fmt: skip
    told = json.dumps([{"archive": [{"id": "18-1"}], "backup": made}])
    listed = "00000002.history" if fork else ""
    stand_in(
        tmp_path, "pgbackrest",
        f"""case "$*" in *info) echo '{told}';; *repo-ls*) echo {listed};; *repo-get*) echo "1 {fork} restored";; esac""",
    )  # fmt: skip


def test_a_large_cluster_is_restored_from_the_newest_whole_backup(tmp_path: Path, replica: str) -> None:
    """Issue: replicas are created from the repository when that is quicker."""
    holding(tmp_path, ("A", 90, False), ("B", 101, False), ("C", 101, True))
    done = run(tmp_path, replica, "--scope=dev", f"--datadir={tmp_path}/main", "--role=replica")
    assert done.returncode == 0 and "replica from backup B, 101 MiB" in done.stdout
    restore = calls(tmp_path).splitlines()[-1]
    assert restore.endswith("restore") and "--delta" in restore and "--set=B" in restore and "--repo=1" in restore
    assert "--type=preserve" in restore, "Patroni's recovery settings are the only ones"


@pytest.mark.parametrize(("fork", "label"), [("0/2000", "B"), ("0/1FFF", "A"), ("0/FFF", None)])
def test_a_backup_that_a_restore_left_behind_makes_no_replica(
    tmp_path: Path, replica: str, fork: str, label: str | None
) -> None:
    """PLAT-34: it holds what the primary never had, and could not follow it."""
    holding(tmp_path, ("A", 101, False), ("B", 101, False), ("C", 101, False), fork=fork)
    done = run(tmp_path, replica, f"--datadir={tmp_path}/main")
    assert (f"replica from backup {label}," in done.stdout) is bool(label) and (done.returncode == 0) is bool(label)


@pytest.mark.parametrize("backups", [[("A", 100 - 1, False)], [("A", 101, True)], []])
def test_otherwise_the_primary_is_copied(tmp_path: Path, replica: str, backups: list[tuple[str, int, bool]]) -> None:
    """A small cluster, no whole backup, none at all: Patroni's next method is asked."""
    holding(tmp_path, *backups)
    done = run(tmp_path, replica, f"--datadir={tmp_path}/main")
    assert done.returncode == 1 and "no replica from the repository" in done.stdout
    assert "restore" not in calls(tmp_path)


def test_a_repository_that_does_not_answer_is_no_obstacle(tmp_path: Path, replica: str) -> None:
    stand_in(tmp_path, "pgbackrest", "exit 49")
    assert run(tmp_path, replica, f"--datadir={tmp_path}/main").returncode == 1
