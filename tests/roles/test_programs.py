"""The programs that roles put on hosts, run as they are rendered, with stand-ins for what they call."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from environment.settings import Repository, SecondRepository
from roles.jobs.continuity import Hole, recorded
from tests.roles.targets import files, manifest_of


def stand_in(folder: Path, name: str, script: str) -> None:
    """A program called ``name`` that writes its arguments down first."""
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n{script}\n')
    path.chmod(0o755)


def run(tmp_path: Path, program: str, *arguments: str, **replaced: str) -> subprocess.CompletedProcess[str]:
    """Run a rendered program with paths replaced, stand-ins first on PATH."""
    text = program
    for old, new in replaced.items():
        text = text.replace(old.replace("__", "/"), new)
    path = tmp_path / "program"
    path.write_text(text)
    path.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run([str(path), *arguments], capture_output=True, text=True, env=environment)


@pytest.fixture
def bootstrap(tmp_path: Path) -> str:
    """The bootstrap method, its order and its server's programs in ``tmp_path``."""
    stand_in(tmp_path, "initdb", "")
    text = files("postgres")["/usr/local/lib/keel/bootstrap"].content
    return text.replace("/run/postgresql", str(tmp_path)).replace("/usr/lib/postgresql/18/bin", str(tmp_path))


def answer(tmp_path: Path, code: int, message: str) -> None:
    """pgBackRest answers with this status."""
    said = json.dumps([{"name": "dev", "status": {"code": code, "message": message}}])
    stand_in(tmp_path, "pgbackrest", f"echo '{said}'")


def calls(tmp_path: Path) -> str:
    """What was called, in order."""
    path = tmp_path / "calls"
    return path.read_text() if path.exists() else ""


def test_a_cluster_is_made_where_the_repository_holds_none(tmp_path: Path, bootstrap: str) -> None:
    """PLAT-02."""
    answer(tmp_path, 1, "missing stanza path")
    assert run(tmp_path, bootstrap, "--scope=dev", f"--datadir={tmp_path}/main").returncode == 0
    assert f"initdb -D {tmp_path}/main" in calls(tmp_path) and "--data-checksums" in calls(tmp_path)


@pytest.mark.parametrize(
    ("code", "message"), [(0, "ok"), (2, "no valid backups"), (3, "missing stanza data"), (99, "other")]
)
def test_no_empty_cluster_is_made_over_a_repository(tmp_path: Path, bootstrap: str, code: int, message: str) -> None:
    """PLAT-36: whoever started it."""
    answer(tmp_path, code, message)
    done = run(tmp_path, bootstrap, "--scope=dev", f"--datadir={tmp_path}/main")
    assert done.returncode == 1
    assert "initdb" not in calls(tmp_path)
    assert message in done.stderr and "keel:recovery" in done.stderr and "Nothing was changed" in done.stderr


def test_no_cluster_is_made_while_the_repository_does_not_answer(tmp_path: Path, bootstrap: str) -> None:
    """PLAT-36: not to know is not to be sure."""
    stand_in(tmp_path, "pgbackrest", "echo no route to host >&2; exit 49")
    done = run(tmp_path, bootstrap, "--scope=dev", f"--datadir={tmp_path}/main")
    assert done.returncode == 1 and "no route to host" in done.stderr
    assert "initdb" not in calls(tmp_path)


def test_an_ordered_recovery_is_carried_out_on_what_was_there(tmp_path: Path, bootstrap: str) -> None:
    """PLAT-34: what an interrupted recovery fetched is not fetched again."""
    stand_in(tmp_path, "pgbackrest", "")
    order = {"token": "t", "options": ["--type=time", "--target=2026-11-22 08:00:00+00"]}
    (tmp_path / "keel-recovery.json").write_text(json.dumps(order))
    (tmp_path / "main.restoring").mkdir()
    (tmp_path / "main.restoring" / "kept").touch()
    assert run(tmp_path, bootstrap, "--scope=dev", f"--datadir={tmp_path}/main").returncode == 0
    assert (tmp_path / "main" / "kept").exists()
    (called,) = calls(tmp_path).splitlines()
    assert "--delta" in called and "--target=2026-11-22 08:00:00+00" in called and called.endswith("restore")
    assert "archive-get %f" in called and "--repo" not in called, "WAL is sought under every key"


def test_a_half_recovered_server_is_laid_aside_before_patroni_starts(tmp_path: Path) -> None:
    """Patroni would promote it wherever it stands."""
    stand_in(tmp_path, "install", "")
    text = files("postgres")["/usr/local/lib/keel/before-patroni"].content.replace(
        "/var/lib/postgresql/18", str(tmp_path)
    )
    (tmp_path / "main").mkdir()
    assert run(tmp_path, text).returncode == 0
    assert (tmp_path / "main").exists()
    (tmp_path / "main" / "recovery.signal").touch()
    assert run(tmp_path, text).returncode == 0
    assert not (tmp_path / "main").exists() and (tmp_path / "main.restoring" / "recovery.signal").exists()


@pytest.mark.parametrize("control", [True, False])
def test_what_a_restore_did_not_finish_is_laid_aside_too(tmp_path: Path, control: bool) -> None:
    """A restore writes pg_control last; an empty directory is a first start's."""
    stand_in(tmp_path, "install", "")
    text = files("postgres")["/usr/local/lib/keel/before-patroni"].content.replace(
        "/var/lib/postgresql/18", str(tmp_path)
    )
    (tmp_path / "main" / "global").mkdir(parents=True)
    if control:
        (tmp_path / "main" / "global" / "pg_control").touch()
    assert run(tmp_path, text).returncode == 0
    assert (tmp_path / "main").exists() is control


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


HOUR_AGO = int(time.time()) - 3600
ANSWER = {
    "now": HOUR_AGO + 600, "lsn": "0/8FFFF00", "timeline": 1, "segment_size": 16 * 2**20, "archive_timeout": 60,
    "acknowledged": "000000010000000000000008", "waiting_bytes": 0, "waiting_seconds": 0,
}  # fmt: skip
HELD = {
    "status": {"code": 0, "message": "ok"}, "archive": [{"id": "18-1"}],
    "backup": [
        {
            "type": "full", "timestamp": {"start": HOUR_AGO - 1000, "stop": HOUR_AGO - 940},
            "archive": {"start": "000000010000000000000003", "stop": "000000010000000000000003"},
        }
    ],
}  # fmt: skip


def moment(after: int) -> str:
    """So many seconds after an hour ago, as the programs write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(HOUR_AGO + after))


def succeeded(job: str, status: int = 0, started: float = HOUR_AGO) -> str:
    """Metrics of a job that succeeded just now, or whose last run ended with ``status``."""
    label = f'{{job="{job}"}}'
    return (
        f"keel_job_last_start_timestamp_seconds{label} {started:.0f}\nkeel_job_last_exit_status{label} {status}\n"
        f"keel_job_last_success_timestamp_seconds{label} {time.time():.0f}\n"
    )


class Watched:
    """A backup host on which `watch-archive` runs: a primary that gives ``answer``, an archive of ``segments``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.answer, self.held = folder, dict(ANSWER), json.loads(json.dumps(HELD))
        self.segments = dict.fromkeys(range(3, 9), HOUR_AGO)
        self.text = files("jobs")["/usr/local/lib/keel/watch-archive"].content
        for path in ("/var/lib/pgbackrest/", "/run/"):
            self.text = self.text.replace(f'"{path}', f'"{folder}/')
        (folder / "metrics").mkdir()
        for job in ("full", "dumps", "incremental"):
            self.ran(job, succeeded(job))
        for name in ("alerts.py", "continuity.py"):
            (folder / name).write_text(files("jobs")[f"/usr/local/lib/keel/{name}"].content)
        for name, script in (("logger", ""), ("systemd-run", ""), ("systemctl", "exit 3")):
            stand_in(folder, name, script)
        stand_in(folder, "runuser", 'shift 3; exec "$@"')

    def ran(self, job: str, metrics: str) -> None:
        """What a job left behind."""
        (self.folder / "metrics" / f"job_{job}.prom").write_text(metrics)

    def look(self) -> list[tuple[str, str]]:
        """The alerts after one look: name, severity."""
        listing = {
            f"18-1/{1:08X}{0:08X}/{1:08X}{0:08X}{number:08X}-{number:040x}.zst": {"type": "file", "time": when}
            for number, when in self.segments.items()
        }
        listing |= {".": {"type": "path"}, "18-1/0000000100000000": {"type": "path"}}
        stand_in(self.folder, "psql", f"cat <<'EOF'\n{json.dumps(self.answer)}\nEOF")
        stand_in(
            self.folder,
            "pgbackrest",
            f"case \"$*\" in *repo-ls*) echo '{json.dumps(listing)}';; *info*) echo '{json.dumps([self.held])}';; esac",
        )
        done = run(self.folder, self.text)
        assert done.returncode == 0, done.stderr
        found = json.loads((self.folder / "keel-alerts.json").read_text())["alerts"]
        return [(alert["alert"], alert["severity"]) for alert in found]

    def calls(self, name: str) -> list[str]:
        """How the program of that name was called."""
        return [line for line in calls(self.folder).splitlines() if line.startswith(name)]

    def metrics(self) -> dict[str, str]:
        """Metric → value."""
        return dict(line.split(" ", 1) for line in (self.folder / "metrics" / "archive.prom").read_text().splitlines())

    def holes(self) -> list[Hole]:
        """What was recorded."""
        path = self.folder / "holes.jsonl"
        return list(recorded(path.read_text().splitlines()).values()) if path.exists() else []


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A backup host where all is well."""
    return Watched(tmp_path)


def test_a_well_archive_raises_nothing(watched: Watched) -> None:
    """PLAT-38, ADA-25: and its figures are there to be drawn."""
    assert watched.look() == []
    found = watched.metrics()
    assert found["keel_archive_waiting_bytes"] == "0" and found["keel_archive_limit_bytes"] == str(4096 * 2**20)
    assert found["keel_archive_last_success_timestamp_seconds"] == str(HOUR_AGO) and found["keel_archive_holes"] == "0"
    assert watched.holes() == [] and watched.calls("logger") == [] and watched.calls("systemd-run") == []


def test_alerts_begin_get_worse_and_end_by_themselves(watched: Watched) -> None:
    """PLAT-38, ADA-25: at 50 and at 80 %, in a metric, in syslog and for `./keel status`."""
    watched.answer |= {"waiting_bytes": 2100 * 2**20, "waiting_seconds": 200}
    assert watched.look() == [("archive_waiting", "warning")]
    assert watched.look() == [("archive_waiting", "warning")]
    (told,) = watched.calls("logger")
    assert "cron.err" in told and "2100 of 4096 MiB" in told
    watched.answer |= {"waiting_bytes": 3300 * 2**20, "waiting_seconds": 400}
    assert watched.look() == [("archive_waiting", "critical"), ("archive_stalled", "critical")]
    assert 'keel_alert{alert="archive_waiting",severity="critical",subject=""}' in watched.metrics()
    watched.answer |= {"waiting_bytes": 0, "waiting_seconds": 0}
    assert watched.look() == []
    assert [line for line in watched.calls("logger") if "ended" in line and "cron.notice" in line]
    assert not [name for name in watched.metrics() if name.startswith("keel_alert")]


def test_wal_that_was_dropped_becomes_a_hole_told_as_times(watched: Watched) -> None:
    """PLAT-38: found at once; a full backup begins when WAL arrives again, one at a time; then both ends are known."""
    watched.look()
    watched.answer |= {"now": HOUR_AGO + 1800, "lsn": "0/20000028", "acknowledged": "00000001000000000000001F"}
    assert watched.look() == [("archive_hole", "critical")]
    (hole,) = watched.holes()
    assert (hole.first[-2:], hole.last[-2:], hole.since, hole.until) == ("09", "1F", moment(599), "")
    assert watched.calls("systemd-run") == []
    watched.segments |= {0x20: HOUR_AGO + 1900, 0x21: HOUR_AGO + 1960}
    watched.answer["acknowledged"] = "000000010000000000000021"
    watched.look()
    (began,) = watched.calls("systemd-run")
    assert began.endswith("/usr/local/lib/keel/job full")
    stand_in(watched.folder, "systemctl", "exit 0")
    watched.look()
    assert len(watched.calls("systemd-run")) == 1
    wal = {"start": "000000010000000000000021", "stop": "000000010000000000000021"}
    watched.held["backup"].append(
        {"type": "full", "timestamp": {"start": HOUR_AGO + 2000, "stop": HOUR_AGO + 2060}, "archive": wal}
    )
    assert watched.look() == [("archive_hole", "warning")]
    (hole,) = watched.holes()
    assert hole.since == moment(599) and hole.until == moment(2060)


def test_a_full_backup_that_failed_is_not_repeated_each_minute(watched: Watched) -> None:
    """PLAT-32."""
    del watched.segments[5]
    watched.ran("full", succeeded("full", 82, time.time() - 60))
    assert watched.look() == [("archive_hole", "critical"), ("job_failed", "critical")]
    assert watched.calls("systemd-run") == []
    watched.ran("full", succeeded("full", 82))
    watched.look()
    assert len(watched.calls("systemd-run")) == 1


def test_a_primary_or_a_repository_that_does_not_answer_is_told(watched: Watched) -> None:
    """PLAT-32: not to know is no peace of mind; what was known of holes stays."""
    del watched.segments[5]
    watched.look()
    watched.answer = {}
    stand_in(watched.folder, "psql", "echo connection refused >&2; exit 2")
    done = run(watched.folder, watched.text)
    assert done.returncode == 0, done.stderr
    stands = json.loads((watched.folder / "keel-alerts.json").read_text())["alerts"]
    assert {alert["alert"] for alert in stands} == {"archive_primary", "archive_hole"}
    stand_in(watched.folder, "pgbackrest", "echo unable to open >&2; exit 41")
    assert run(watched.folder, watched.text).returncode == 0
    stands = json.loads((watched.folder / "keel-alerts.json").read_text())["alerts"]
    assert {alert["alert"] for alert in stands} == {"archive_primary", "archive_repository"}
    assert "unable to open" in str(stands)


def test_a_full_volume_blinds_nobody(watched: Watched) -> None:
    """The alerts do not lie on it, and no half line is left in what does."""
    (watched.folder / "positions.log").symlink_to("/dev/full")
    (watched.folder / "metrics" / "archive.prom.new").symlink_to("/dev/full")
    watched.answer["waiting_bytes"] = 4000 * 2**20
    assert watched.look() == [("archive_waiting", "critical")]


def test_each_repository_has_a_backup_job_of_its_own(tmp_path: Path, job: str) -> None:
    """PLAT-32: the second one's failure is told by its name and takes nothing from the first one's success."""
    text = job.replace('"": ["--repo=1"],', '"": ["--repo=1"], "-second": ["--repo=2"],')
    stand_in(tmp_path, "pgbackrest", 'case "$*" in *--repo=2*) echo connection refused >&2; exit 49;; esac')
    assert run(tmp_path, text, "full").returncode == 0
    failed = run(tmp_path, text, "full-second")
    assert failed.returncode == 49 and "full-second failed" in failed.stderr and "connection refused" in failed.stderr
    assert metrics(tmp_path)["keel_job_last_exit_status"] == 0


SEGMENTS = ("000000010000000000000001", "000000010000000000000002", "000000010000000000000003")


@pytest.fixture
def copying(tmp_path: Path) -> str:
    """The program that copies the archive; the first repository is a folder, the second one `pushed`."""
    settings = Repository(
        compress="gz", processes=1, second=SecondRepository(endpoint="s3.example.com", bucket="backups")
    )
    text = files("pgbackrest", "dev", "ops1", repository=settings)["/usr/local/lib/keel/copy-archive"].content
    archive = tmp_path / "generation-1" / "archive" / "dev" / "18-1" / "0000000100000000"
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
    return text.replace("/var/lib/pgbackrest", str(tmp_path))


def second(tmp_path: Path, *, backups: bool, code: int = 0, away: bool = False) -> None:
    """How the second repository answers."""
    told = json.dumps([{"repo": [{"status": {"code": code, "message": "said"}}], "backup": [{}] if backups else []}])
    stand_in(
        tmp_path, "pgbackrest",
        f"""case "$*" in *info) echo '{told}';; *repo-get*) cd {tmp_path}/generation-1; for last; do :; done; cat "$last";;
        *archive-push*) {"echo connection refused >&2; exit 49" if away else ""}
        for last; do :; done; cp "$last" {tmp_path}/pushed;; esac""",
    )  # fmt: skip


def pushed(tmp_path: Path) -> set[str]:
    """What the second repository holds."""
    return {path.name for path in (tmp_path / "pushed").iterdir()}


def test_the_archive_is_copied_once(tmp_path: Path, copying: str) -> None:
    """PLAT-31: segments as the server wrote them, and histories; the second time there is nothing to do."""
    assert run(tmp_path, copying).returncode == 0
    assert pushed(tmp_path) == {*SEGMENTS, "00000002.history"}
    assert (tmp_path / "pushed" / SEGMENTS[0]).read_text() == SEGMENTS[0]
    (tmp_path / "calls").unlink()
    assert run(tmp_path, copying).returncode == 0
    assert "archive-push" not in calls(tmp_path)
    assert "keel_copy_archive_missing_files 0" in (tmp_path / "metrics" / "copy_archive.prom").read_text()


def test_what_a_store_missed_follows_when_it_is_back(tmp_path: Path, copying: str) -> None:
    """PLAT-31, PLAT-32: and meanwhile that is told."""
    second(tmp_path, backups=True, away=True)
    failed = run(tmp_path, copying)
    assert failed.returncode == 1 and "connection refused" in failed.stderr and "4 files" in failed.stderr
    asked = [line for line in calls(tmp_path).splitlines() if line.startswith("pgbackrest") and "archive-push" in line]
    assert len(asked) == 1, "a store that is away is not asked for every file"
    assert "keel_copy_archive_missing_files 4" in (tmp_path / "metrics" / "copy_archive.prom").read_text()
    second(tmp_path, backups=True)
    assert run(tmp_path, copying).returncode == 0
    assert len(pushed(tmp_path)) == 4


def test_damage_is_not_copied_and_holds_nothing_else_up(tmp_path: Path, copying: str) -> None:
    """PLAT-35."""
    broken = next(tmp_path.rglob(f"{SEGMENTS[1]}-*"))
    broken.write_bytes(gzip.compress(b"something else"))
    failed = run(tmp_path, copying)
    assert failed.returncode == 1 and f"{SEGMENTS[1]}" in failed.stderr and "is damaged" in failed.stderr
    assert pushed(tmp_path) == {SEGMENTS[0], SEGMENTS[2], "00000002.history"}


def test_what_no_backup_in_the_second_repository_needs_is_not_copied(tmp_path: Path, copying: str) -> None:
    """A second repository that is new begins with the present, not with thirty days of WAL."""
    second(tmp_path, backups=False, code=1)
    assert run(tmp_path, copying).returncode == 0
    assert pushed(tmp_path) == set()


def test_copying_does_not_begin_before_the_second_repository_answers(tmp_path: Path, copying: str) -> None:
    second(tmp_path, backups=False, code=99)
    failed = run(tmp_path, copying)
    assert failed.returncode == 1 and "does not answer" in failed.stderr
    assert not (tmp_path / "second-copied").exists()


@pytest.fixture
def replica(tmp_path: Path) -> str:
    """How Patroni makes a replica of a cluster of more than 100 MiB."""
    settings = manifest_of("dev").postgres.model_copy(update={"replica_from_repository_above": 100})
    return files("postgres", postgres=settings)["/usr/local/lib/keel/replica-from-repository"].content


def holding(tmp_path: Path, *backups: tuple[str, int, bool]) -> None:
    """The repository holds backups: label, MiB, damaged."""
    told = json.dumps(
        [
            {
                "backup": [
                    {"label": label, "error": error, "info": {"size": size * 2**20}} for label, size, error in backups
                ]
            }
        ]
    )
    stand_in(tmp_path, "pgbackrest", f"""case "$*" in *info) echo '{told}';; esac""")


def test_a_large_cluster_is_restored_from_the_newest_whole_backup(tmp_path: Path, replica: str) -> None:
    """Issue: replicas are created from the repository when that is quicker."""
    holding(tmp_path, ("A", 90, False), ("B", 101, False), ("C", 101, True))
    done = run(tmp_path, replica, "--scope=dev", f"--datadir={tmp_path}/main", "--role=replica")
    assert done.returncode == 0 and "replica from backup B, 101 MiB" in done.stdout
    restore = calls(tmp_path).splitlines()[-1]
    assert restore.endswith("restore") and "--delta" in restore and "--set=B" in restore and "--repo=1" in restore
    assert "--type=preserve" in restore, "Patroni's recovery settings are the only ones"


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
