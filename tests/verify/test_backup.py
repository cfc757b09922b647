"""Backups and the archive: WAL arrives, a backup is there, the schedule is in force, no one else is admitted."""

from __future__ import annotations

import json
import shlex
from typing import Any

import psycopg

from environment.manifest import HostEntry, Manifest
from environment.repositories import Place, Repository, written
from keel_host import metrics, pgbackrest
from keel_host.accounts import SCRATCH
from roles import paths
from tests.verify import expect
from tests.verify.look import Look


def info(look: Look, manifest: Manifest, host: HostEntry, repository: Repository) -> pgbackrest.Stanza:
    """What pgBackRest on ``host`` reports of the stanza in a repository."""
    said = look.shell(host, paths.pgbackrest(manifest, f"--repo={repository.number} {paths.INFO}"))
    return pgbackrest.read(said)


def test_archiving(superuser: psycopg.Connection[Any]) -> None:
    """PLAT-04, ADA-24, ADA-25: WAL is archived, within a minute, and the last attempt did not fail."""
    row = superuser.execute(
        """select current_setting('archive_mode'), current_setting('archive_command'),
                  extract(epoch from current_setting('archive_timeout')::interval)::int,
                  archived_count, coalesce(last_failed_time > last_archived_time, false), last_failed_wal
           from pg_stat_archiver"""
    ).fetchone()
    assert row is not None
    mode, command, timeout, count, failing, wal = row
    assert (mode, command.split()[0]) == ("on", "pgbackrest"), f"archive_mode {mode}, archive_command {command!r}"
    assert timeout <= 900, f"archive_timeout is {timeout} s; ADA-25 allows 900"
    assert count and not failing, (
        f"{count} segments archived; the last attempt, of {wal}, failed" if failing else "none"
    )


def test_a_backup_is_there(look: Look, manifest: Manifest, repository: Repository) -> None:
    """PLAT-31, PLAT-33, RIQ-28: each repository holds a full backup without damaged pages, and the WAL it needs."""
    found = info(look, manifest, manifest.repository_host, repository)
    assert found.status.code == 0, f"repository {repository.title}: {found.status.message}"
    assert any(backup.type == "full" for backup in found.backups), f"repository {repository.title}: no full backup"
    expect.nothing(f"{backup.label} holds damaged pages" for backup in found.backups if backup.error)
    expect.same({"cipher": found.cipher}, {"cipher": "aes-256-cbc"}, f"repository {repository.title}")


def test_retention(look: Look, manifest: Manifest, repository: Repository) -> None:
    """PLAT-33, ADA-24: backups are kept for days, not for a number of them, and for as many as the environment says."""
    settings = manifest.repository
    days = (
        settings.second.retention_days if settings.second and repository.place is Place.S3 else settings.retention_days
    )
    for option, value in (("retention-full-type", "time"), ("retention-full", str(days))):
        asked = paths.pgbackrest(manifest, f"help expire repo{repository.number}-{option}")
        found = look.shell(manifest.repository_host, f"{asked} | sed -n 's/^current: //p'").strip()
        assert found == value, f"repository {repository.title}: {option} is {found or 'not set'}, not {value}"


def test_database_hosts_reach_the_repository(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """JEEX-30, W5: over mutual TLS, without knowing a key; one in a store elsewhere only while a cluster is made or restored.

    At other times it does not answer, and is never taken for empty."""
    for repository in written(manifest.repository):
        found = info(look, manifest, server, repository)
        closed = repository.place is Place.S3 and server != manifest.repository_host
        wanted = pgbackrest.UNKNOWN if closed else 0
        assert found.status.code == wanted, f"{server.name}, repository {repository.title}: {found.status.message}"
    if server != manifest.repository_host:
        known = look.shell(server, "grep -cE 'cipher-pass|s3-key' /etc/pgbackrest/pgbackrest.conf || true").strip()
        assert known == "0", f"{server.name} holds a key of a repository"


def test_only_this_stanza_is_admitted(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """JEEX-30: a database host reaches its own cluster's backups and no other's."""
    if server != manifest.repository_host:
        answer = look.shell(server, f"runuser -u postgres -- pgbackrest --stanza=other {paths.INFO}")
        assert "access denied" in answer, f"{server.name} may read the stanza 'other': {answer}"


def test_only_the_backup_host_is_admitted(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """JEEX-30: pgBackRest's server on a database host speaks to the backup host, not to a database host with a good certificate.
    It is asked from its own host: the firewall lets no other one come that far."""
    if manifest.repository_host != server:
        answer = look.shell(server, paths.pgbackrest(manifest, f"--repo1-host={server.name} {paths.INFO}"))
        assert "access denied" in answer, f"{server.name} admits a database host: {answer}"


def test_schedule(look: Look, manifest: Manifest) -> None:
    """PLAT-45, ADA-23, ADA-27: cron runs, in UTC, what the stack file says."""
    host = manifest.repository_host
    assert look.shell(host, "date +%Z").strip() == "UTC"
    crontab = look.shell(host, "cat /etc/cron.d/keel")
    lines = [line for line in crontab.splitlines() if " root " in line]
    schedule = manifest.schedule
    times = {"full": schedule.full, "differential": schedule.differential, "incremental": schedule.incremental}
    times["drill"] = schedule.drill
    also = {"full": ["dumps", "known"]}
    elsewhere = {job: [job + each.job_suffix for each in written(manifest.repository)[1:]] for job in times} | {
        "drill": []
    }
    wanted = {
        f"{time} root " + "; ".join(f"{paths.JOB} {name}" for name in [job, *also.get(job, []), *elsewhere[job]])
        for job, time in times.items()
        if time != "off"
    }
    wanted.add(f"* * * * * root {paths.WATCH_ARCHIVE}")
    assert set(lines) == wanted, f"{host.name}: /etc/cron.d/keel has {lines}"


def test_jobs_succeed(look: Look, manifest: Manifest) -> None:
    """PLAT-32, PLAT-45: the last run of every job that ran was a success."""
    text = look.shell(manifest.repository_host, f"cat {paths.METRICS}/job_*.prom 2>/dev/null || true")
    status = metrics.by_label(list(metrics.parse(text)), "keel_job_last_exit_status", "job")
    assert status, f"{manifest.repository_host.name}: no job has run"
    again = "docs/runbooks/archive.md, job_failed, says how to run it again"
    expect.nothing(f"{job} ended with exit status {code:.0f}: {again}" for job, code in status.items() if code)


def test_the_archive_is_watched(look: Look, manifest: Manifest) -> None:
    """ADA-25: the backup host can ask the primary and the repository, and finds a backup."""
    said = look.shell(manifest.repository_host, f"{paths.WATCH_ARCHIVE} && cat {paths.ALERTS}")
    blind = ("archive_primary", "archive_repository", "no_backup")
    expect.nothing(alert["text"] for alert in json.loads(said)["alerts"] if alert["alert"] in blind)


def test_what_may_wait_fits_the_volume(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-38: alerts come, slots are cut off and WAL is dropped before the volume of the primary is full."""
    size = int(look.shell(server, f"df -BM --output=size {paths.data_directory(manifest)} | tail -1").strip(" M\n"))
    limit = max(manifest.repository.archive_limit, manifest.postgres.max_slot_wal_keep_size)
    assert limit < size, (
        f"{server.name}: keel:repository.archive_limit and keel:postgres.max_slot_wal_keep_size allow {limit} MiB of WAL to be "
        f"kept, its volume has {size}"
    )


def test_the_repository_is_private(look: Look, manifest: Manifest) -> None:
    """JEEX-30, W5: backups, dumps and the keys are the server user's alone; of the volume others see no name.

    The account that receives WAL is in its group, so the files with keys are closed to that too."""
    repository = f"{paths.REPOSITORY}/generation-{manifest.repository.generation}"
    keys = ("/etc/pgbackrest/pgbackrest.conf", paths.SCRATCH_CONFIG)
    listed = " ".join(map(shlex.quote, (paths.REPOSITORY, repository, paths.DUMPS, paths.KNOWN, *keys)))
    found = look.shell(manifest.repository_host, f"stat -c '%U %a %n' {listed}").splitlines()
    closed = {paths.REPOSITORY: "01"}
    modes = {line.split()[2]: line.split()[1] for line in found}
    expect.same({key: modes.get(key) for key in keys}, dict.fromkeys(keys, "600"), "files with the repositories' keys")
    expect.nothing(
        line
        for line in found
        if not line.startswith("postgres ") or line.split()[1][-1] not in closed.get(line.split()[2], "0")
    )


def test_a_scratch_server_can_read_no_key(look: Look, manifest: Manifest) -> None:
    """W0, JEEX-30: its account is in no group of others, and reads neither keys nor backups, dumps and known moments."""
    closed = (
        "/etc/pgbackrest/pgbackrest.conf", paths.SCRATCH_CONFIG, f"{paths.TLS}/pgbackrest/key.pem", f"{paths.KEEL}/backup.json",
        f"{paths.KEEL}/backup.pgpass", f"{paths.REPOSITORY}/generation-{manifest.repository.generation}", paths.DUMPS, paths.KNOWN,
        paths.DRILLS,
    )  # fmt: skip
    tried = " ".join(map(shlex.quote, closed))
    script = f'for one in {tried}; do test -r "$one" && echo "reads $one"; done; true'
    found = look.shell(
        manifest.repository_host, f"id -nG {SCRATCH}; runuser -u {SCRATCH} -- sh -c {shlex.quote(script)}"
    ).splitlines()
    expect.nothing(line for line in found if line != SCRATCH)
