"""What watches the WAL archive."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keel_host import metrics
from keel_host.gaps import ArchiveGap, recorded
from keel_host.programs import watch_archive
from tests.stand_ins import calls, stand_in
from tests.unit.keel_host.hosts import backup_host

HOUR_AGO = int(time.time()) - 3600
ANSWER = {
    "now": HOUR_AGO + 600, "lsn": "0/8FFFF00", "timeline": 1, "segment_size": 16 * 2**20, "archive_timeout": 60,
    "acknowledged": "000000010000000000000008", "waiting_bytes": 0, "waiting_seconds": 0,
}  # fmt: skip
HELD = {
    "name": "dev", "status": {"code": 0, "message": "ok"}, "archive": [{"id": "18-1"}],
    "backup": [
        {
            "type": "full", "timestamp": {"start": HOUR_AGO - 1000, "stop": HOUR_AGO - 940},
            "archive": {"start": "000000010000000000000003", "stop": "000000010000000000000003"},
            "label": "A", "lsn": {"start": "0/3000028", "stop": "0/3000100"}, "info": {"size": 1},
            "database": {"id": 1, "repo-key": 1},
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
        self.host = backup_host(folder)
        for job in ("full", "dumps", "incremental"):
            self.ran(job, succeeded(job))
        for name, script in (("logger", ""), ("systemd-run", ""), ("systemctl", "exit 3")):
            stand_in(folder, name, script)
        stand_in(folder, "runuser", 'shift 3; exec "$@"')

    def ran(self, job: str, metrics: str) -> None:
        """What a job left behind."""
        (self.host.metrics / f"job_{job}.prom").write_text(metrics)

    def listing(self) -> dict[str, Any]:
        """What the archive holds."""
        listing: dict[str, Any] = {
            f"18-1/{1:08X}{0:08X}/{1:08X}{0:08X}{number:08X}-{number:040x}.zst": {"type": "file", "time": when}
            for number, when in self.segments.items()
        }
        return listing | {".": {"type": "path"}, "18-1/0000000100000000": {"type": "path"}}

    def look(self) -> list[tuple[str, str]]:
        """The alerts after one look: name, severity."""
        stand_in(self.folder, "psql", f"cat <<'EOF'\n{json.dumps(self.answer)}\nEOF")
        stand_in(
            self.folder,
            "pgbackrest",
            f"case \"$*\" in *repo-ls*) echo '{json.dumps(self.listing())}';; *repo-get*) echo '1 0/9000100 promoted';; *info*) echo '{json.dumps([self.held])}';; esac",
        )
        self.main()
        found = json.loads(self.host.alerts.read_text())["alerts"]
        return [(alert["alert"], alert["severity"]) for alert in found]

    def main(self) -> None:
        """Run the program, here: another process for each look takes longer than all it does."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{self.folder}:{os.environ['PATH']}")
            patch.setattr(watch_archive, "read", lambda _: self.host)
            assert watch_archive.main([]) == 0

    def calls(self, name: str) -> list[str]:
        """How the program of that name was called."""
        return [line for line in calls(self.folder).splitlines() if line.startswith(name)]

    def metrics(self) -> dict[str, float]:
        """Metric → value, of those without labels."""
        samples = metrics.read(self.host.metrics / "archive.prom")
        return {sample.name: sample.value for sample in samples if not sample.labels}

    def alert_metrics(self) -> list[dict[str, str]]:
        """Labels of each alert among the metrics."""
        samples = metrics.read(self.host.metrics / "archive.prom")
        return [sample.labels for sample in samples if sample.name == "keel_alert" and sample.value == 1]

    def gaps(self) -> list[ArchiveGap]:
        """What was recorded."""
        path = self.host.archive_gaps
        return list(recorded(path.read_text().splitlines()).values()) if path.exists() else []


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A backup host where all is well."""
    return Watched(tmp_path)


def test_a_well_archive_raises_nothing(watched: Watched) -> None:
    """ADA-25: and its figures are there to be drawn."""
    assert watched.look() == []
    found = watched.metrics()
    assert found["keel_archive_waiting_bytes"] == 0 and found["keel_archive_limit_bytes"] == 4096 * 2**20
    assert found["keel_archive_last_success_timestamp_seconds"] == HOUR_AGO and found["keel_archive_gaps"] == 0
    assert watched.gaps() == [] and watched.calls("logger") == [] and watched.calls("systemd-run") == []


def test_alerts_begin_get_worse_and_end_by_themselves(watched: Watched) -> None:
    """ADA-25: at 50 and at 80 %, in a metric, in syslog and for `./keel status`."""
    watched.answer |= {"waiting_bytes": 2100 * 2**20, "waiting_seconds": 200}
    assert watched.look() == [("archive_waiting", "warning")]
    assert watched.look() == [("archive_waiting", "warning")]
    (told,) = watched.calls("logger")
    assert "cron.err" in told and "2100 of 4096 MiB" in told
    watched.answer |= {"waiting_bytes": 3300 * 2**20, "waiting_seconds": 400}
    assert watched.look() == [("archive_waiting", "critical"), ("archive_stalled", "critical")]
    assert {"alert": "archive_waiting", "severity": "critical", "subject": ""} in watched.alert_metrics()
    watched.answer |= {"waiting_bytes": 0, "waiting_seconds": 0}
    assert watched.look() == []
    assert [line for line in watched.calls("logger") if "ended" in line and "cron.notice" in line]
    assert watched.alert_metrics() == []


def test_wal_that_was_dropped_becomes_a_gap_told_as_times(watched: Watched) -> None:
    """Found at once; a full backup begins when WAL arrives again, one at a time; then both ends are known."""
    watched.look()
    watched.answer |= {"now": HOUR_AGO + 1800, "lsn": "0/20000028", "acknowledged": "00000001000000000000001F"}
    assert watched.look() == [("archive_gap", "critical")]
    (gap,) = watched.gaps()
    assert (gap.first[-2:], gap.last[-2:], gap.since, gap.until) == ("09", "1F", moment(599), "")
    assert watched.calls("systemd-run") == []
    watched.segments |= {0x20: HOUR_AGO + 1900, 0x21: HOUR_AGO + 1960}
    watched.answer["acknowledged"] = "000000010000000000000021"
    watched.look()
    (began,) = watched.calls("systemd-run")
    assert began.endswith(f"{watched.host.library}/job full")
    stand_in(watched.folder, "systemctl", "exit 0")
    watched.look()
    assert len(watched.calls("systemd-run")) == 1
    wal = {"start": "000000010000000000000021", "stop": "000000010000000000000021"}
    watched.held["backup"].append(
        watched.held["backup"][0] | {"timestamp": {"start": HOUR_AGO + 2000, "stop": HOUR_AGO + 2060}, "archive": wal}
    )
    assert watched.look() == [("archive_gap", "warning")]
    (gap,) = watched.gaps()
    assert gap.since == moment(599) and gap.until == moment(2060)


def test_a_full_backup_that_failed_is_not_repeated_each_minute(watched: Watched) -> None:
    """PLAT-32."""
    del watched.segments[5]
    watched.ran("full", succeeded("full", 82, time.time() - 60))
    assert watched.look() == [("archive_gap", "critical"), ("job_failed", "critical")]
    assert watched.calls("systemd-run") == []
    watched.ran("full", succeeded("full", 82))
    watched.look()
    assert len(watched.calls("systemd-run")) == 1


def test_a_primary_or_a_repository_that_does_not_answer_is_told(watched: Watched) -> None:
    """PLAT-32: not to know is no peace of mind; what was known of gaps stays."""
    del watched.segments[5]
    watched.look()
    watched.answer = {}
    stand_in(watched.folder, "psql", "echo connection refused >&2; exit 2")
    watched.main()
    stands = json.loads((watched.host.alerts).read_text())["alerts"]
    assert {alert["alert"] for alert in stands} == {"archive_primary", "archive_gap"}
    stand_in(watched.folder, "pgbackrest", "echo unable to open >&2; exit 41")
    watched.main()
    stands = json.loads((watched.host.alerts).read_text())["alerts"]
    assert {alert["alert"] for alert in stands} == {"archive_primary", "archive_repository"}
    assert "unable to open" in str(stands)


def test_a_full_volume_blinds_nobody(watched: Watched) -> None:
    """The alerts do not lie on it, and no half line is left in what does."""
    (watched.host.positions).symlink_to("/dev/full")
    (watched.host.metrics / "archive.prom.part").symlink_to("/dev/full")
    watched.answer["waiting_bytes"] = 4000 * 2**20
    assert watched.look() == [("archive_waiting", "critical")]


@pytest.mark.parametrize(("age", "again"), [(840, False), (960, True)])
def test_a_failed_full_backup_is_tried_again_after_a_quarter_of_an_hour(
    watched: Watched, age: int, again: bool
) -> None:
    """PLAT-32."""
    del watched.segments[5]
    watched.ran("full", succeeded("full", 82, time.time() - age))
    watched.look()
    assert bool(watched.calls("systemd-run")) is again


def test_one_that_succeeded_before_the_gap_is_no_reason_to_wait(watched: Watched) -> None:
    """Only a failure is."""
    del watched.segments[5]
    watched.ran("full", succeeded("full", 0, time.time() - 10))
    watched.look()
    assert len(watched.calls("systemd-run")) == 1


@pytest.mark.parametrize(("age", "missing"), [(30, False), (90, True)])
def test_a_segment_may_be_a_minute_late(watched: Watched, age: int, missing: bool) -> None:
    """They are pushed side by side: a later one may come first."""
    watched.answer["acknowledged"] = None
    del watched.segments[7]
    watched.segments[8] = int(time.time()) - age
    assert bool(watched.look()) is missing


def test_a_cluster_without_a_backup_is_an_alert(watched: Watched) -> None:
    """PLAT-31; jobs are not late in it yet."""
    watched.held["backup"] = []
    watched.held["status"]["message"] = "no valid backups"
    for job in ("full", "dumps", "incremental"):
        (watched.host.metrics / f"job_{job}.prom").unlink()
    assert watched.look() == [("no_backup", "critical")]
    assert "keel_archive_gaps" not in watched.metrics()


def test_a_lasting_alert_keeps_its_beginning(watched: Watched) -> None:
    """And is written to syslog once; a worse one is another, and the lesser does not end by it."""
    watched.answer |= {"waiting_bytes": 2100 * 2**20}
    watched.look()
    path = watched.host.alerts
    stands = json.loads(path.read_text())
    stands["alerts"][0]["since"] = "2026-01-01T00:00:00Z"
    path.write_text(json.dumps(stands))
    watched.look()
    assert json.loads(path.read_text())["alerts"][0]["since"] == "2026-01-01T00:00:00Z"
    watched.answer |= {"waiting_bytes": 3300 * 2**20}
    watched.look()
    (alert,) = json.loads(path.read_text())["alerts"]
    assert alert["severity"] == "critical" and alert["since"] > "2026-01-02"
    first, second = watched.calls("logger")
    assert "warning: " in first and "critical: " in second


def test_alerts_that_cannot_be_read_are_begun_again(watched: Watched) -> None:
    (watched.host.alerts).write_text("{")
    assert watched.look() == []


def test_the_space_that_is_left_is_a_figure(watched: Watched) -> None:
    """ADA-25."""
    watched.answer |= {"waiting_bytes": 7, "waiting_seconds": 3}
    watched.look()
    found = watched.metrics()
    volume = os.statvfs(watched.folder)
    assert abs(found["keel_repository_free_bytes"] - volume.f_bavail * volume.f_frsize) < volume.f_frsize * 100_000
    assert (found["keel_archive_waiting_bytes"], found["keel_archive_waiting_seconds"]) == (7, 3)
    assert abs(found["keel_archive_watch_timestamp_seconds"] - time.time()) < 60


def test_a_gap_is_a_figure_and_an_acknowledged_one_is_no_alert(watched: Watched) -> None:
    """It still is one."""
    del watched.segments[5]
    assert watched.look() == [("archive_gap", "critical")]
    path = watched.host.archive_gaps
    wal = {"start": "000000010000000000000008", "stop": "000000010000000000000008"}
    later = {"timestamp": {"start": HOUR_AGO, "stop": HOUR_AGO + 60}, "archive": wal}
    watched.held["backup"].append(watched.held["backup"][0] | later)
    assert watched.look() == [("archive_gap", "warning")]
    with path.open("a") as file:
        file.write(path.read_text().splitlines()[-1].replace('"acknowledged": false', '"acknowledged": true') + "\n")
    lines = len(path.read_text().splitlines())
    assert watched.look() == [] and watched.metrics()["keel_archive_gaps"] == 1
    assert len(path.read_text().splitlines()) == lines, "what has not changed is not written again"


def test_positions_are_written_a_second_early_and_forgotten_by_half(watched: Watched) -> None:
    """A commit takes its time a moment before its place in the WAL. The file may not fill the volume."""
    watched.look()
    path = watched.host.positions
    assert path.read_text() == f"{ANSWER['now'] - 1} 1 0/8FFFF00\n"  # type: ignore[operator]
    line = f"{HOUR_AGO} 1 0/3000000\n"
    count = 4 * 2**20 // len(line)
    path.write_text(line * (count - 10))
    watched.look()
    assert len(path.read_text().splitlines()) == count - 9
    path.write_text(line * (count + 10))
    watched.look()
    assert len(path.read_text().splitlines()) == (count + 11) - (count + 11) // 2


def test_of_two_looks_the_second_waits(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """And ends before cron starts a third, should the first one hang: its alarm rings while it waits, not while it looks."""
    order: list[str] = []
    monkeypatch.setattr(signal, "alarm", lambda seconds: order.append(f"alarm {seconds}"))
    monkeypatch.setattr(fcntl, "flock", lambda file, how: order.append({fcntl.LOCK_EX: "lock"}[how]))
    assert watched.look() == []
    assert order == ["alarm 50", "lock", "alarm 0"]


class Promoted(Watched):
    """A backup host of a cluster that was promoted once: timeline 2 left the first one within segment 9."""

    def __init__(self, folder: Path, history: bool) -> None:
        super().__init__(folder)
        self.history = history
        self.answer |= {"timeline": 2, "acknowledged": "00000002000000000000000A"}
        self.second = {9: HOUR_AGO, 10: HOUR_AGO}

    def listing(self) -> dict[str, Any]:
        """Of both timelines."""
        found = super().listing() | {
            f"18-1/{2:08X}{0:08X}/{2:08X}{0:08X}{number:08X}-{number:040x}.zst": {"type": "file", "time": when}
            for number, when in self.second.items()
        }
        return found | ({"18-1/00000002.history": {"type": "file", "time": HOUR_AGO}} if self.history else {})


@pytest.mark.parametrize("history", [True, False])
def test_the_way_over_a_promotion_is_followed(tmp_path: Path, history: bool) -> None:
    """PLAT-34: by its history, or, where that was dropped, by the segments that are there."""
    watched = Promoted(tmp_path, history)
    assert watched.look() == []
    asked = [line for line in watched.calls("pgbackrest") if "repo-get" in line]
    assert [line.split()[-1] for line in asked] == (["archive/dev/18-1/00000002.history"] if history else [])
    del watched.second[9], watched.segments[6]
    assert [name for name, _ in watched.look()] == ["archive_gap"] * 2
    assert [gap.first[6:8] + gap.first[-2:] for gap in watched.gaps()] == ["0106", "0209" if history else "0109"]


def test_before_its_first_segment_a_new_timeline_says_nothing(tmp_path: Path) -> None:
    """Its history is still to come; what was known of gaps stays."""
    watched = Promoted(tmp_path, history=False)
    del watched.segments[6]
    watched.answer["acknowledged"] = "000000010000000000000009"
    watched.second = {}
    assert watched.look() == []


def test_a_backup_beside_the_way_counts_for_nothing(tmp_path: Path) -> None:
    """After a restore: of the first timeline only what lies before the fork."""
    watched = Promoted(tmp_path, history=True)
    wal = {"start": "00000001000000000000000A", "stop": "00000001000000000000000A"}
    watched.held["backup"] = [watched.held["backup"][0] | {"archive": wal}]
    watched.segments = {}
    assert watched.look() == []


def test_a_copy_that_does_not_arrive_is_told(watched: Watched) -> None:
    """PLAT-31, PLAT-32: and so is a full backup of the second repository that was not made."""
    schedule = watched.host.schedule | {"full-second": watched.host.schedule["full"]}
    watched.host = replace(watched.host, repositories={"": 1, "-second": 2}, schedule=schedule)
    copied = watched.host.metrics / "copy_archive.prom"
    name = "keel_copy_archive_last_success_timestamp_seconds"
    watched.ran("full-second", succeeded("full-second"))
    copied.write_text(f"keel_copy_archive_missing_files 0\n{name} {time.time():.0f}\n")
    assert watched.look() == []
    copied.write_text(f"keel_copy_archive_missing_files 7\n{name} {HOUR_AGO}\n")
    assert watched.look() == [("archive_copy", "warning")]
    (watched.host.metrics / "job_full-second.prom").unlink()
    for job in ("differential", "drill"):
        watched.ran(job, succeeded(job))
    watched.held["backup"][0]["timestamp"]["start"] -= 40 * 86400
    assert watched.look() == [("job_late", "critical"), ("archive_copy", "warning")]
