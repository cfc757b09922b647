"""What runs a scheduled job."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.roles.programs import calls, run, stand_in
from tests.roles.targets import files


@pytest.fixture
def job(tmp_path: Path) -> str:
    """The job runner with its folders in ``tmp_path``; jobs run as who runs the test."""
    stand_in(tmp_path, "runuser", 'shift 3; exec "$@"')
    stand_in(tmp_path, "logger", "")
    text = files("jobs")["/usr/local/lib/keel/job"].content
    for folder in ("/var/log/keel", "/var/lib/pgbackrest/metrics", "/run"):
        (tmp_path / folder.replace("/", "_")).mkdir()
        text = text.replace(f'"{folder}', f'"{tmp_path / folder.replace("/", "_")}')
    return text


def metrics(tmp_path: Path) -> dict[str, float]:
    """Metric → value of the job `full`."""
    lines = (tmp_path / "_var_lib_pgbackrest_metrics" / "job_full.prom").read_text().splitlines()
    return {line.split("{")[0]: float(line.split()[1]) for line in lines}


def test_a_failed_job_is_loud_and_keeps_the_time_of_its_last_success(tmp_path: Path, job: str) -> None:
    """PLAT-32, PLAT-45, Q-34: exit status, standard error, journal and metrics; no word of success."""
    stand_in(tmp_path, "pgbackrest", "echo done")
    assert run(tmp_path, job, "full").returncode == 0
    before = metrics(tmp_path)
    assert before["keel_job_last_exit_status"] == 0
    stand_in(tmp_path, "pgbackrest", "echo no space left >&2; exit 82")
    failed = run(tmp_path, job, "full")
    assert failed.returncode == 82 and "no space left" in failed.stderr and "succeeded" not in failed.stdout
    after = metrics(tmp_path)
    assert after["keel_job_last_exit_status"] == 82
    assert after["keel_job_last_success_timestamp_seconds"] == before["keel_job_last_success_timestamp_seconds"]
    assert "job full failed" in calls(tmp_path)
    log = (tmp_path / "_var_log_keel" / "full.log").read_text()
    assert "full succeeded" in log and "FAILED with exit status 82" in log


def test_an_unknown_job_is_refused(tmp_path: Path, job: str) -> None:
    refused = run(tmp_path, job, "everything")
    assert refused.returncode == 1 and "full|differential|incremental|dumps" in refused.stderr


def test_each_repository_has_a_backup_job_of_its_own(tmp_path: Path, job: str) -> None:
    """PLAT-32: the second one's failure is told by its name and takes nothing from the first one's success."""
    text = job.replace('"": ["--repo=1"],', '"": ["--repo=1"], "-second": ["--repo=2"],')
    stand_in(tmp_path, "pgbackrest", 'case "$*" in *--repo=2*) echo connection refused >&2; exit 49;; esac')
    assert run(tmp_path, text, "full").returncode == 0
    failed = run(tmp_path, text, "full-second")
    assert failed.returncode == 49 and "full-second failed" in failed.stderr and "connection refused" in failed.stderr
    assert metrics(tmp_path)["keel_job_last_exit_status"] == 0
