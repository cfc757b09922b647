"""Run a scheduled job: one at a time, with a log and metrics, and loudly when it fails (PLAT-32, PLAT-45).

job [--follow] NAME            what each job does is in `jobs` below; --follow: its log goes to standard output too
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

from keel_host import files, metrics
from keel_host.config import BackupHost, read
from keel_host.pgbackrest import Pgbackrest
from keel_host.processes import AS_POSTGRES, Failed
from keel_host.times import utc

KINDS = {"full": "full", "differential": "diff", "incremental": "incr"}
"""Job → pgBackRest's type of backup."""
PROGRAMS = {"dumps": (*AS_POSTGRES, "dump-databases"), "known": (*AS_POSTGRES, "known-moment"), "drill": ("drill",)}
"""Job → Keel's own program. A drill is root's: it changes from one account to another."""
BESIDE = {"drill"}
"""Jobs that others need not wait for: they only read the repository."""
AWAY = frozenset({56, 57})
"""pgBackRest's exit status where it finds no primary, and where the server ended a query: the primary moves, or its host is being
replaced."""
PATIENCE = 600
"""Seconds in which a scheduled backup tries again for that reason. A host is replaced in less."""
PAUSE = 20
"""Seconds between two tries."""
START = "keel_job_last_start_timestamp_seconds"
DURATION = "keel_job_last_duration_seconds"
STATUS = "keel_job_last_exit_status"
SUCCESS = "keel_job_last_success_timestamp_seconds"


def main(arguments: list[str]) -> int:
    """The job's own exit status."""
    try:
        host = read(BackupHost)
    except Failed as error:
        sys.exit(str(error))
    names = [argument for argument in arguments if argument != "--follow"]
    if len(names) != 1 or names[0] not in jobs(host):
        sys.exit(f"usage: job [--follow] {'|'.join(jobs(host))}")
    return run(host, names[0], "--follow" in arguments)


def jobs(host: BackupHost) -> dict[str, tuple[str, ...]]:
    """Job → command. What a second repository lacks of the archive may still be on its way, so its backups wait longer."""
    backups = {
        f"{name}{suffix}": Pgbackrest(
            host.stanza,
            (f"--repo={number}", *(("--archive-timeout=1800",) if suffix else ())),
            as_root=True,
        ).command("--log-level-console=info", f"--type={kind}", "backup")
        for name, kind in KINDS.items()
        for suffix, number in host.repositories.items()
    }
    return backups | {name: (*front, str(host.library / program)) for name, (*front, program) in PROGRAMS.items()}


def run(host: BackupHost, name: str, follow: bool) -> int:
    """Run a job after those that it waits for, because two may be due at 02:00; its exit status."""
    log_file = host.logs / f"{name}.log"
    with (
        files.locked(host.locks / f"keel-{name if name in BESIDE else 'backup'}.lock"),
        log_file.open("a", buffering=1) as log,
    ):
        started = time.time()
        log.write(f"{utc(started)} {name} begins\n")
        command = jobs(host)[name]
        status, errors = carry_out(command, log, follow)
        # A person who follows it decides for themselves.
        while status in AWAY and name not in PROGRAMS and not follow and time.time() < started + PATIENCE:
            log.write(
                f"{utc(time.time())} {name}: exit status {status}: the primary may be on its way: again in {PAUSE} s\n"
            )
            time.sleep(PAUSE)
            status, errors = carry_out(command, log, follow)
        ended = time.time()
        verdict = "succeeded" if status == 0 else f"FAILED with exit status {status}"
        log.write(f"{utc(ended)} {name} {verdict} after {ended - started:.0f} s\n")
    record(host.metrics / f"job_{name}.prom", name, started, ended, status)
    if status:
        sys.stderr.write(f"{name} failed with exit status {status}: {log_file}\n{errors}")
        message = f"job {name} failed: {errors[-800:]}"
        subprocess.run(["logger", "-p", "cron.err", "-t", "keel", message], check=False)
    return status


def carry_out(command: tuple[str, ...], log: TextIO, follow: bool) -> tuple[int, str]:
    """Exit status and the end of what was printed, which all goes to the log."""
    last: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            log.write(line)
            last = [*last[-19:], line]
            if follow:
                follow = passed_on(line)
    return process.returncode, "".join(last)


def passed_on(line: str) -> bool:
    """Pass a line on; False once the listener has gone, which is no reason to give the job up."""
    try:
        print(line, end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def record(path: Path, name: str, started: float, ended: float, status: int) -> None:
    """Write the job's metrics; the time of the last success survives a failure."""
    succeeded = ended if status == 0 else metrics.value(metrics.read(path), SUCCESS)
    gauges = metrics.Gauges()
    gauges.set(START, "When the job last began.", started, job=name)
    gauges.set(DURATION, "How long it then took.", ended - started, job=name)
    gauges.set(STATUS, "How it then ended: 0 is success.", status, job=name)
    gauges.set(SUCCESS, "When the job last ended with success.", succeeded, job=name)
    gauges.write(path)
