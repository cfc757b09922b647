"""What runs a scheduled job."""

from __future__ import annotations

import fcntl
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from environment.load import ROOT
from keel_host import metrics
from keel_host.config import BackupHost
from keel_host.programs.job import jobs
from keel_host.programs.job import run as run_here
from tests.stand_ins import calls, first_on_path, stand_in
from tests.unit.keel_host.hosts import backup_host, command, run


@pytest.fixture
def host(tmp_path: Path) -> BackupHost:
    """A backup host on which jobs run as who runs the test."""
    stand_in(tmp_path, "runuser", 'shift 3; exec "$@"')
    stand_in(tmp_path, "logger", "")
    return backup_host(tmp_path)


def job(tmp_path: Path, host: BackupHost, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a job to its end."""
    return run(tmp_path, host, "job", *arguments)


def figures(host: BackupHost) -> dict[str, float]:
    """Metric → value of the job `full`."""
    samples = metrics.read(host.metrics / "job_full.prom")
    assert {sample.labels["job"] for sample in samples} == {"full"}
    return {sample.name: sample.value for sample in samples}


def test_a_failed_job_is_loud_and_keeps_the_time_of_its_last_success(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-32, PLAT-45, Q-34: exit status, standard error, journal and metrics; no word of success."""
    stand_in(tmp_path, "pgbackrest", "echo done")
    assert job(tmp_path, host, "full").returncode == 0
    before = figures(host)
    assert before["keel_job_last_exit_status"] == 0
    stand_in(tmp_path, "pgbackrest", "echo no space left >&2; exit 82")
    failed = job(tmp_path, host, "full")
    assert failed.returncode == 82 and "no space left" in failed.stderr and "succeeded" not in failed.stdout
    after = figures(host)
    assert after["keel_job_last_exit_status"] == 82
    assert after["keel_job_last_success_timestamp_seconds"] == before["keel_job_last_success_timestamp_seconds"]
    assert "job full failed" in calls(tmp_path)
    log = (host.logs / "full.log").read_text()
    assert "full succeeded" in log and "FAILED with exit status 82" in log


@pytest.mark.parametrize(
    ("status", "follow", "tries"), [(56, False, 3), (57, False, 3), (56, True, 1), (82, False, 1), (49, False, 1)]
)
def test_a_backup_that_finds_no_primary_tries_again(
    tmp_path: Path, host: BackupHost, monkeypatch: pytest.MonkeyPatch, status: int, follow: bool, tries: int
) -> None:
    """PLAT-32: the primary moves, or its host is replaced. Another reason, such as a repository that is away, is one at once."""
    monkeypatch.setattr("keel_host.programs.job.PAUSE", 0)
    monkeypatch.setenv("PATH", first_on_path(tmp_path)["PATH"])
    stand_in(tmp_path, "pgbackrest", f'[ "$(grep -c ^pgbackrest {tmp_path}/calls)" -ge 3 ] || exit {status}')
    assert run_here(host, "full", follow) == (0 if tries == 3 else status)
    assert sum(line.startswith("pgbackrest") for line in calls(tmp_path).splitlines()) == tries
    assert (host.logs / "full.log").read_text().count("on its way") == tries - 1
    assert figures(host)["keel_job_last_exit_status"] == (0 if tries == 3 else status)


def test_a_primary_that_does_not_come_is_a_failure(
    tmp_path: Path, host: BackupHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-32: in the end it is loud."""
    monkeypatch.setattr("keel_host.programs.job.PAUSE", 0)
    monkeypatch.setattr("keel_host.programs.job.PATIENCE", 0.5)
    monkeypatch.setenv("PATH", first_on_path(tmp_path)["PATH"])
    stand_in(tmp_path, "pgbackrest", "exit 56")
    assert run_here(host, "full", False) == 56
    assert figures(host)["keel_job_last_exit_status"] == 56 and "job full failed" in calls(tmp_path)


def test_jobs_that_write_the_repository_run_in_sequence(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-45: a lock against overlap; the second begins when the first has ended."""
    stand_in(tmp_path, "pgbackrest", "")
    with (host.locks / "keel-backup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = command(tmp_path, host, "job", "incremental")
        waiting = subprocess.Popen(started, cwd=ROOT, env=first_on_path(tmp_path))
        while not any(line.split()[1:2] == ["->"] and str(waiting.pid) in line.split() for line in blocked()):
            assert waiting.poll() is None, "it did not wait"
        assert calls(tmp_path) == ""
    assert waiting.wait(30) == 0
    assert "pgbackrest" in calls(tmp_path)


def blocked() -> list[str]:
    """Who waits for which lock on this machine."""
    return Path("/proc/locks").read_text().splitlines()


@pytest.mark.parametrize(("name", "type"), [("full", "full"), ("differential", "diff"), ("incremental", "incr")])
def test_each_kind_of_backup_is_asked_for(tmp_path: Path, host: BackupHost, name: str, type: str) -> None:
    """PLAT-31."""
    stand_in(tmp_path, "pgbackrest", "")
    assert job(tmp_path, host, name).returncode == 0
    asked = next(line for line in calls(tmp_path).splitlines() if line.startswith("pgbackrest"))
    assert asked == f"pgbackrest --stanza=dev --repo=1 --log-level-console=info --type={type} backup"


def test_who_follows_a_job_sees_it_and_others_only_what_failed(tmp_path: Path, host: BackupHost) -> None:
    stand_in(tmp_path, "pgbackrest", "echo out; echo err >&2")
    assert job(tmp_path, host, "full").stdout == ""
    assert job(tmp_path, host, "--follow", "full").stdout == "out\nerr\n"
    assert job(tmp_path, host, "full", "--follow").stdout == "out\nerr\n"
    assert job(tmp_path, host, "full", "dumps").returncode == 1


def test_a_job_goes_on_when_its_listener_has_gone(tmp_path: Path, host: BackupHost) -> None:
    """A lost connection must not end a backup; the log has everything."""
    stand_in(tmp_path, "pgbackrest", "seq 1 20000")
    started = command(tmp_path, host, "job", "--follow", "full")
    following = subprocess.Popen(
        started, cwd=ROOT, env=first_on_path(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert following.stdout and following.stdout.readline() == b"1\n"
    following.stdout.close()
    assert (following.wait(30), following.stderr.read() if following.stderr else b"") == (0, b"")
    log = (host.logs / "full.log").read_text().splitlines()
    assert log[1:-1] == [str(number) for number in range(1, 20001)]


def test_of_a_failed_job_the_end_is_said(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-32: twenty lines to its caller, 800 characters to syslog, the rest in the log; how long it took too."""
    stand_in(tmp_path, "pgbackrest", "seq 101 160; printf '%0900d\\n' 7; exit 5")
    failed = job(tmp_path, host, "full")
    assert failed.returncode == 5
    first, *rest = failed.stderr.splitlines()
    assert first.startswith("full failed with exit status 5: ") and first.endswith("/full.log")
    assert rest == [*map(str, range(142, 161)), f"{7:0900d}"]
    (said,) = (line for line in calls(tmp_path).splitlines() if line.startswith("logger"))
    assert said == f"logger -p cron.err -t keel job full failed: {7:0799d}"
    duration = figures(host)["keel_job_last_duration_seconds"]
    assert 0 <= duration < 60 and abs(figures(host)["keel_job_last_start_timestamp_seconds"] - time.time()) < 60


def test_an_unknown_job_is_refused(tmp_path: Path, host: BackupHost) -> None:
    refused = job(tmp_path, host, "everything")
    assert refused.returncode == 1 and "full|differential|incremental|dumps" in refused.stderr


def test_each_repository_has_a_backup_job_of_its_own(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-32: the second one's failure is told by its name and takes nothing from the first one's success."""
    both = replace(host, repositories={"": 1, "-second": 2})
    stand_in(tmp_path, "pgbackrest", 'case "$*" in *--repo=2*) echo connection refused >&2; exit 49;; esac')
    assert job(tmp_path, both, "full").returncode == 0
    failed = job(tmp_path, both, "full-second")
    assert failed.returncode == 49 and "full-second failed" in failed.stderr and "connection refused" in failed.stderr
    assert figures(host)["keel_job_last_exit_status"] == 0


def test_the_drill_holds_up_no_backup_and_waits_for_none(tmp_path: Path, host: BackupHost) -> None:
    """PLAT-45: jobs that write the repository wait for each other, the drill for another drill; a failed one is loud."""
    stand_in(tmp_path, "drill", "exit 1")
    with (host.locks / "keel-backup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert job(tmp_path, host, "drill").returncode == 1
    assert "job drill failed" in calls(tmp_path)
    status = metrics.by_label(metrics.read(host.metrics / "job_drill.prom"), "keel_job_last_exit_status", "job")
    assert status == {"drill": 1}


@pytest.mark.parametrize(("name", "program"), [("dumps", "dump-databases"), ("known", "known-moment")])
def test_keels_own_programs_run_as_postgres(host: BackupHost, name: str, program: str) -> None:
    """JEEX-30: what reads every row, or the repository's files, is not root."""
    assert jobs(host)[name] == ("runuser", "-u", "postgres", "--", f"{host.library}/{program}")
