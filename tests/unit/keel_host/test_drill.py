"""The parts of a drill that need no server: what fits what, what is compared, and the report."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keel_host import drill_report, metrics, pgbackrest
from keel_host.config import BackupHost
from keel_host.drill_report import Report
from keel_host.fingerprint import METHOD
from keel_host.known import KnownMoment
from keel_host.processes import Failed
from keel_host.programs import drill
from keel_host.scratch import Server
from tests.stand_ins import stand_in
from tests.unit.keel_host.hosts import backup_host


@pytest.fixture
def host(tmp_path: Path) -> BackupHost:
    """A backup host, with its volume and its programs in a folder; who changes accounts there stays who it is."""
    stand_in(tmp_path, "runuser", 'shift 3; exec "$@"')
    return backup_host(tmp_path)


HELD: dict[str, Any] = {
    "name": "dev", "status": {"code": 0, "message": "ok"}, "db": [{"id": 1, "system-id": 7000}],
    "backup": [
        {
            "label": "20261122-020000F", "type": "full", "lsn": {"start": "0/5000000", "stop": "0/6000000"},
            "archive": {"start": "000000020000000000000005", "stop": "000000020000000000000006"},
            "timestamp": {"start": 1795312000, "stop": 1795312010}, "database": {"id": 1, "repo-key": 1}, "info": {"size": 1},
        }
    ],
}  # fmt: skip
STANZA = pgbackrest.stanza(HELD)
BACKUP = STANZA.backups[0]
MOMENT = KnownMoment(
    "dev", "7000", "known-1", "0/7000100", "000000020000000000000007", "2026-11-22T02:05:00+00:00", method=METHOD
)


def test_what_is_of_this_cluster_is_its_own(host: BackupHost) -> None:
    assert drill.identity(host, STANZA, MOMENT) == []


@pytest.mark.parametrize(
    ("held", "moment", "words"),
    [
        ({"db": [{"id": 1, "system-id": 7001}]}, {}, "is a backup of system 7001, known-1 was recorded in system 7000"),
        ({}, {"environment": "staging"}, "was recorded in staging, this is dev"),
    ],
)
def test_anothers_is_refused(host: BackupHost, held: dict[str, Any], moment: dict[str, Any], words: str) -> None:
    """PLAT-35: another environment's backup, another one's known moment."""
    (objection,) = drill.identity(host, pgbackrest.stanza(HELD | held), replace(MOMENT, **moment))
    assert words in objection


@pytest.mark.parametrize(
    ("moment", "archived", "fits"),
    [
        ({}, "000000020000000000000007", True),
        ({}, "000000020000000000000006", True),
        ({"lsn": "0/5FFFFFF"}, "000000020000000000000009", False),
        ({}, "000000030000000000000009", False),
    ],
    ids=["on the way", "not archived yet", "before the backup", "on a timeline that was left"],
)
def test_a_known_moment_fits_where_a_recovery_can_end_there(moment: dict[str, Any], archived: str, fits: bool) -> None:
    assert drill.fits(replace(MOMENT, **moment), BACKUP, archived) is fits


def test_tables_are_compared_by_rows_and_digest() -> None:
    """PLAT-35: a changed row, a lost row, a lost table, a new one; not what was being written."""
    recorded = {"public.a": [2, "77"], "public.b": [3, "1"], "public.c": [1, "5"], "public.d": [1, "5"]}
    found = {
        "public.a": [2, "78"],
        "public.b": [2, "1"],
        "public.d": [1, "5"],
        "public.e": [0, "0"],
        "public.m": [9, "9"],
    }
    assert drill.differences(recorded, found, ["public.m"]) == [
        "public.c is missing",
        "public.e was not there",
        "public.a holds as many rows as recorded, 2, but not the same",
        "public.b holds 2 rows, recorded were 3",
    ]
    assert drill.differences(recorded, recorded, []) == []


def test_the_target_lies_between_backup_and_last_commit() -> None:
    """ADA-27: by chance, within what the backup covers."""
    last = datetime.fromtimestamp(BACKUP.timestamp.stop + 100, UTC)
    chosen = set()
    for _ in range(20):
        report = Report("dev", "now")
        target = datetime.fromisoformat(drill.choose(report, BACKUP, last))
        assert report.window[1] == last.isoformat()
        assert datetime.fromtimestamp(BACKUP.timestamp.stop + 1, UTC) <= target < last
        chosen.add(target)
    assert len(chosen) > 1
    with pytest.raises(Failed, match="nothing was committed after"):
        drill.choose(report, BACKUP, None)


@pytest.fixture
def server(host: BackupHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A scratch server of which nothing but the folder is there, and an archive whose newest segment holds no commit."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    stand_in(tmp_path, "pgbackrest", 'for last; do :; done; touch "$last"')
    stand_in(
        tmp_path, "pg_waldump",
        'case "$*" in *08) ;; *) echo "rmgr: Transaction len: 34, tx: 812, lsn: 0/7, desc: COMMIT 2026-11-22 04:10:00.123456 UTC; x";'
        ' echo "rmgr: Transaction len: 34, tx: 811, lsn: 0/7, desc: ABORT 2026-11-22 04:12:00.123456 UTC";; esac; exit 1',
    )  # fmt: skip
    found = Server(host, tmp_path)
    found.work.mkdir()
    return found


def test_the_last_commit_is_looked_for_segment_by_segment(server: Server) -> None:
    """ADA-25: what could be restored, and no further back than the backup."""
    last = drill.last_commit(server, "000000020000000000000008", "000000020000000000000005")
    assert last == datetime(2026, 11, 22, 4, 10, 0, 123456, UTC)
    assert drill.last_commit(server, "000000020000000000000008", "000000020000000000000008") is None


def test_a_segment_that_cannot_be_read_fails_the_drill(server: Server, tmp_path: Path) -> None:
    """PLAT-35."""
    stand_in(tmp_path, "pgbackrest", "echo invalid checksum; exit 95")
    with pytest.raises(Failed, match="status 95:\ninvalid checksum"):
        drill.last_commit(server, "000000020000000000000008", "000000020000000000000005")


def test_report_and_metrics(host: BackupHost) -> None:
    """ADA-26, PLAT-45: RTO, RPO and the result, for programs and for people; the oldest reports go."""
    report = Report("dev", "2026-11-22T04:00:00Z", rto_seconds=12.5, rpo_seconds=31.0, backup="20261122-020000F")
    report.check("checksums", [], "all pages")
    report.check("fingerprints of ruleiq", ["public.users holds 1 rows, recorded were 2"])
    drills = host.drills
    for number in range(drill_report.KEPT):
        (drills / f"2020{number:03}.json").write_text("{}")
    drill_report.keep(host, report, 1795320000.0)
    (path,) = drills.glob("2026*.json")
    assert json.loads(path.read_text())["rto_seconds"] == 12.5
    told = path.with_suffix(".txt").read_text()
    assert "dev, 2026-11-22T04:00:00Z: failed" in told and "FAILED  fingerprints of ruleiq" in told
    assert "12.5 s from the beginning" in told and "31 s since the last commit" in told
    assert len(list(drills.glob("*.json"))) == drill_report.KEPT and not (drills / "2020000.json").exists()
    found = {sample.name: sample.value for sample in metrics.read(host.metrics / "drill.prom")}
    assert found["keel_drill_last_passed"] == 0
    assert (found["keel_drill_last_rto_seconds"], found["keel_drill_last_rpo_seconds"]) == (12.5, 31.0)


def test_a_drill_that_cannot_begin_fails_and_says_why(
    host: BackupHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-32: exit status and report."""
    stand_in(tmp_path, "pgbackrest", "echo no such stanza >&2; exit 49")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert drill.run(host) == 1
    (path,) = host.drills.glob("*.json")
    report = json.loads(path.read_text())
    assert report["result"] == "failed" and "no such stanza" in report["checks"][0]["objections"][0]


def test_what_is_not_whole_is_said_too(host: BackupHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-32: a record that cannot be read ends a drill with a report, not with a traceback."""
    (host.known_moments / "known-1.json").write_text("{}")
    stand_in(tmp_path, "pgbackrest", f"echo '{json.dumps([HELD])}'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert drill.run(host) == 1
    (path,) = host.drills.glob("*.json")
    assert json.loads(path.read_text())["checks"][0]["objections"] == ["KnownMoment has no environment"]
