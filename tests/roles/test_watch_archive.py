"""What watches the WAL archive."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from environment.settings import Repository, SecondRepository
from roles.jobs.continuity import Hole, recorded
from tests.roles.programs import calls, run, stand_in
from tests.roles.targets import files

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
        self.text = self.rendered()
        (folder / "metrics").mkdir()
        for job in ("full", "dumps", "incremental"):
            self.ran(job, succeeded(job))
        for name in ("alerts.py", "continuity.py"):
            (folder / name).write_text(files("jobs")[f"/usr/local/lib/keel/{name}"].content)
        for name, script in (("logger", ""), ("systemd-run", ""), ("systemctl", "exit 3")):
            stand_in(folder, name, script)
        stand_in(folder, "runuser", 'shift 3; exec "$@"')

    def rendered(self, **sections: Any) -> str:
        """The program, its folders in this one."""
        text = files("jobs", **sections)["/usr/local/lib/keel/watch-archive"].content
        for path in ("/var/lib/pgbackrest/", "/run/"):
            text = text.replace(f'"{path}', f'"{self.folder}/')
        return text

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


def test_a_copy_that_does_not_arrive_is_told(watched: Watched) -> None:
    """PLAT-31, PLAT-32: and so is a full backup of the second repository that was not made."""
    settings = Repository(second=SecondRepository(endpoint="s3.example.com", bucket="backups"))
    watched.text = watched.rendered(repository=settings)
    copied = watched.folder / "metrics" / "copy_archive.prom"
    name = "keel_copy_archive_last_success_timestamp_seconds"
    watched.ran("full-second", succeeded("full-second"))
    copied.write_text(f"keel_copy_archive_missing_files 0\n{name} {time.time():.0f}\n")
    assert watched.look() == []
    copied.write_text(f"keel_copy_archive_missing_files 7\n{name} {HOUR_AGO}\n")
    assert watched.look() == [("archive_copy", "warning")]
    (watched.folder / "metrics" / "job_full-second.prom").unlink()
    for job in ("differential", "drill"):
        watched.ran(job, succeeded(job))
    watched.held["backup"][0]["timestamp"]["start"] -= 40 * 86400
    assert watched.look() == [("job_late", "critical"), ("archive_copy", "warning")]
