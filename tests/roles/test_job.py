"""What runs a scheduled job."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
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


def test_jobs_that_write_the_repository_run_in_sequence(tmp_path: Path, job: str) -> None:
    """PLAT-45: a lock against overlap; the second begins when the first has ended."""
    stand_in(tmp_path, "pgbackrest", "")
    (tmp_path / "program").write_text(job)
    (tmp_path / "program").chmod(0o755)
    with (tmp_path / "_run" / "keel-backup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        waiting = subprocess.Popen([str(tmp_path / "program"), "incremental"], env=environment)
        while not any(line.split()[1:2] == ["->"] and str(waiting.pid) in line.split() for line in blocked()):
            assert waiting.poll() is None, "it did not wait"
        assert calls(tmp_path) == ""
    assert waiting.wait(30) == 0
    assert "pgbackrest" in calls(tmp_path)


def blocked() -> list[str]:
    """Who waits for which lock on this machine."""
    return Path("/proc/locks").read_text().splitlines()


@pytest.mark.parametrize(("name", "type"), [("full", "full"), ("differential", "diff"), ("incremental", "incr")])
def test_each_kind_of_backup_is_asked_for(tmp_path: Path, job: str, name: str, type: str) -> None:
    """PLAT-31."""
    stand_in(tmp_path, "pgbackrest", "")
    assert run(tmp_path, job, name).returncode == 0
    asked = next(line for line in calls(tmp_path).splitlines() if line.startswith("pgbackrest"))
    assert asked == f"pgbackrest --stanza=dev --repo=1 --log-level-console=info --type={type} backup"


def test_who_follows_a_job_sees_it_and_others_only_what_failed(tmp_path: Path, job: str) -> None:
    stand_in(tmp_path, "pgbackrest", "echo out; echo err >&2")
    assert run(tmp_path, job, "full").stdout == ""
    assert run(tmp_path, job, "--follow", "full").stdout == "out\nerr\n"
    assert run(tmp_path, job, "full", "--follow").stdout == "out\nerr\n"
    assert run(tmp_path, job, "full", "dumps").returncode == 1


def test_a_job_goes_on_when_its_listener_has_gone(tmp_path: Path, job: str) -> None:
    """A lost connection must not end a backup; the log has everything."""
    stand_in(tmp_path, "pgbackrest", "seq 1 20000")
    (tmp_path / "program").write_text(job)
    (tmp_path / "program").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    following = subprocess.Popen(
        [str(tmp_path / "program"), "--follow", "full"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert following.stdout and following.stdout.readline() == b"1\n"
    following.stdout.close()
    assert (following.wait(30), following.stderr.read() if following.stderr else b"") == (0, b"")
    log = (tmp_path / "_var_log_keel" / "full.log").read_text().splitlines()
    assert log[1:-1] == [str(number) for number in range(1, 20001)]


def test_of_a_failed_job_the_end_is_said(tmp_path: Path, job: str) -> None:
    """PLAT-32: twenty lines to its caller, 800 characters to syslog, the rest in the log; how long it took too."""
    stand_in(tmp_path, "pgbackrest", "seq 101 160; printf '%0900d\\n' 7; exit 5")
    failed = run(tmp_path, job, "full")
    assert failed.returncode == 5
    first, *rest = failed.stderr.splitlines()
    assert first.startswith("full failed with exit status 5: ") and first.endswith("/full.log")
    assert rest == [*map(str, range(142, 161)), f"{7:0900d}"]
    (said,) = (line for line in calls(tmp_path).splitlines() if line.startswith("logger"))
    assert said == f"logger -p cron.err -t keel job full failed: {7:0799d}"
    duration = metrics(tmp_path)["keel_job_last_duration_seconds"]
    assert 0 <= duration < 60 and abs(metrics(tmp_path)["keel_job_last_start_timestamp_seconds"] - time.time()) < 60


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
