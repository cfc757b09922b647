"""The drill and what it stands on, as rendered for the backup host: what needs no server."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.roles.programs import calls, run, stand_in
from tests.roles.targets import files
from tests.roles.test_job import job

__all__ = ["job"]
LIBRARY = "/usr/local/lib/keel"
MODULES = ("catalogue", "fingerprint", "isolated")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keel's programs as they lie on the backup host, with its volume in ``tmp_path``."""
    volume = tmp_path / "volume"
    for folder in ("drills", "known-moments", "metrics"):
        (volume / folder).mkdir(parents=True)
    for path, file in files("jobs").items():
        if path.startswith(LIBRARY):
            there = tmp_path / path.removeprefix(f"{LIBRARY}/")
            there.parent.mkdir(exist_ok=True)
            there.write_text(file.content.replace("/var/lib/pgbackrest", str(volume)))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in MODULES:
        sys.modules.pop(name, None)


def load(library: Path, name: str) -> ModuleType:
    """A program as a module."""
    module = ModuleType(name)
    sys.modules[name] = module  # dataclasses look their module up
    exec(compile((library / name).read_text(), name, "exec"), module.__dict__)
    return module


@pytest.fixture
def drill(library: Path) -> Iterator[Any]:
    """The drill."""
    yield load(library, "drill")
    sys.modules.pop("drill", None)


@pytest.fixture
def known(library: Path) -> Iterator[Any]:
    """The program that records known moments."""
    yield load(library, "known-moment")
    sys.modules.pop("known-moment", None)


BACKUP = {
    "label": "20261122-020000F", "lsn": {"start": "0/5000000", "stop": "0/6000000"},
    "timestamp": {"start": 1795312000, "stop": 1795312010}, "database": {"id": 1, "repo-key": 1},
}  # fmt: skip
MOMENT = {
    "environment": "dev", "system": "7000", "name": "known-1", "lsn": "0/7000100", "wal": "000000020000000000000007",
}  # fmt: skip
HELD = {"db": [{"id": 1, "system-id": 7000}], "backup": [BACKUP]}


def test_what_is_of_this_cluster_is_its_own(drill: Any) -> None:
    assert drill.identity(HELD, MOMENT) == []


@pytest.mark.parametrize(
    ("held", "moment", "words"),
    [
        ({"db": [{"id": 1, "system-id": 7001}]}, {}, "is a backup of system 7001, known-1 was recorded in system 7000"),
        ({}, {"environment": "staging"}, "was recorded in staging, this is dev"),
    ],
)
def test_anothers_is_refused(drill: Any, held: dict[str, Any], moment: dict[str, Any], words: str) -> None:
    """PLAT-35: another environment's backup, another one's known moment."""
    (objection,) = drill.identity(HELD | held, MOMENT | moment)
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
def test_a_known_moment_fits_where_a_recovery_can_end_there(
    drill: Any, moment: dict[str, Any], archived: str, fits: bool
) -> None:
    assert drill.fits(MOMENT | moment, BACKUP, archived) is fits


def test_tables_are_compared_by_rows_and_digest(drill: Any) -> None:
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


def test_the_target_lies_between_backup_and_last_commit(drill: Any) -> None:
    """ADA-27: by chance, within what the backup covers."""
    last = datetime.fromtimestamp(BACKUP["timestamp"]["stop"] + 100, UTC)  # type: ignore[index]
    chosen = set()
    for _ in range(20):
        report = drill.Report("dev", "now")
        target = datetime.fromisoformat(drill.choose(report, BACKUP, last))
        assert report.window[1] == last.isoformat()
        assert datetime.fromtimestamp(BACKUP["timestamp"]["stop"] + 1, UTC) <= target < last  # type: ignore[index]
        chosen.add(target)
    assert len(chosen) > 1
    with pytest.raises(drill.Failed, match="nothing was committed after"):
        drill.choose(report, BACKUP, None)


def test_segments_are_followed_backwards(drill: Any) -> None:
    assert drill.before("000000020000000300000000") == "0000000200000002000000FF"
    assert drill.before("000000020000000000000001") is None


@pytest.fixture
def server(drill: Any, library: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An isolated server of which nothing but the folder is there, and an archive whose newest segment holds no commit."""
    monkeypatch.setattr(drill, "BIN", str(library))
    monkeypatch.setattr(drill, "PGBACKREST", [str(library / "pgbackrest")])
    stand_in(library, "pgbackrest", 'for last; do :; done; touch "$last"')
    stand_in(
        library, "pg_waldump",
        'case "$*" in *08) ;; *) echo "rmgr: Transaction len: 34, tx: 812, lsn: 0/7, desc: COMMIT 2026-11-22 04:10:00.123456 UTC; x";'
        ' echo "rmgr: Transaction len: 34, tx: 811, lsn: 0/7, desc: ABORT 2026-11-22 04:12:00.123456 UTC";; esac; exit 1',
    )  # fmt: skip
    return drill.Server(library)


def test_the_last_commit_is_looked_for_segment_by_segment(drill: Any, server: Any) -> None:
    """ADA-25: what could be restored, and no further back than the backup."""
    last = drill.last_commit(server, "000000020000000000000008", "000000020000000000000005")
    assert last == datetime(2026, 11, 22, 4, 10, 0, 123456, UTC)
    assert drill.last_commit(server, "000000020000000000000008", "000000020000000000000008") is None


def test_a_segment_that_cannot_be_read_fails_the_drill(drill: Any, server: Any, library: Path) -> None:
    """PLAT-35."""
    stand_in(library, "pgbackrest", "echo invalid checksum; exit 95")
    with pytest.raises(drill.Failed, match="status 95:\ninvalid checksum"):
        drill.last_commit(server, "000000020000000000000008", "000000020000000000000005")


def test_report_and_metrics(drill: Any, library: Path) -> None:
    """ADA-26, PLAT-45: RTO, RPO and the result, for programs and for people; the oldest reports go."""
    report = drill.Report("dev", "2026-11-22T04:00:00Z", rto_seconds=12.5, rpo_seconds=31.0, backup="20261122-020000F")
    report.check("checksums", [], "all pages")
    report.check("fingerprints of ruleiq", ["public.users holds 1 rows, recorded were 2"])
    drills = library / "volume" / "drills"
    for number in range(drill.KEPT):
        (drills / f"2020{number:03}.json").write_text("{}")
    drill.keep(report, 1795320000.0)
    (path,) = drills.glob("2026*.json")
    assert json.loads(path.read_text())["rto_seconds"] == 12.5
    told = path.with_suffix(".txt").read_text()
    assert "dev, 2026-11-22T04:00:00Z: failed" in told and "FAILED  fingerprints of ruleiq" in told
    assert "12.5 s from the beginning" in told and "31 s since the last commit" in told
    assert len(list(drills.glob("*.json"))) == drill.KEPT and not (drills / "2020000.json").exists()
    metrics = (library / "volume" / "metrics" / "drill.prom").read_text().splitlines()
    assert {"keel_drill_last_passed 0", "keel_drill_last_rto_seconds 12.5", "keel_drill_last_rpo_seconds 31.0"} <= set(
        metrics
    )


def test_a_drill_that_cannot_begin_fails_and_says_why(
    drill: Any, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-32: exit status and report."""
    stand_in(library, "pgbackrest", "echo no such stanza >&2; exit 49")
    monkeypatch.setattr(drill, "PGBACKREST", [str(library / "pgbackrest")])
    monkeypatch.setattr(drill, "tidy_when_ended", lambda: None)
    assert drill.main() == 1
    (path,) = (library / "volume" / "drills").glob("*.json")
    report = json.loads(path.read_text())
    assert report["result"] == "failed" and "no such stanza" in report["checks"][0]["objections"][0]


def test_what_was_written_at_the_moment_is_left_out(known: Any) -> None:
    """PLAT-35: only what is certain is compared: the same before and after, and not locked for writing."""
    before = {"public.still": [1, "1"], "public.changed": [1, "1"], "public.locked": [1, "1"], "public.gone": [1, "1"]}
    after = {"public.still": [1, "1"], "public.changed": [1, "2"], "public.locked": [1, "1"], "public.new": [0, "0"]}
    certain, moving = known.still(before, after, {"public.locked"})
    assert certain == {"public.still": [1, "1"]}
    assert moving == ["public.changed", "public.gone", "public.locked", "public.new"]


def test_a_known_moment_is_a_restore_point_too(known: Any, library: Path) -> None:
    """PLAT-34: `./keel restore --to` finds it by its name."""
    known.keep(MOMENT | {"time": "2026-11-22T02:05:00+00:00", "tables": {}, "moving": {}})
    (line,) = (library / "volume" / "restore-points.jsonl").read_text().splitlines()
    assert json.loads(line)["name"] == "known-1" and json.loads(line)["lsn"] == "0/7000100"
    assert (library / "volume" / "known-moments" / "known-1.json").exists()


@pytest.fixture
def isolated(library: Path) -> Any:
    """The module of isolated servers."""
    import isolated as module  # type: ignore[import-not-found]

    return module


def test_what_a_killed_run_left_goes_and_what_runs_stays(isolated: Any, library: Path) -> None:
    """A folder belongs to a run as long as that holds its lock."""
    volume = library / "volume"
    (volume / "isolated-left" / "data").mkdir(parents=True)
    with isolated.isolated(0) as first:
        assert not (volume / "isolated-left").exists()
        with isolated.isolated(0) as second:
            assert first.folder.exists() and second.folder != first.folder
            assert "listen_addresses = ''" in (second.folder / "postgresql.conf").read_text()
        assert first.folder.exists() and not second.folder.exists()
    assert not list(volume.glob("isolated-*"))


def test_a_server_that_does_not_fit_is_not_restored(isolated: Any, library: Path) -> None:
    with pytest.raises(isolated.Failed, match="a tenth of the volume stays free"), isolated.isolated(2**60):
        pass
    assert not list((library / "volume").glob("isolated-*"))


@pytest.mark.parametrize(("needed", "fits"), [(900, True), (901, False)])
def test_a_tenth_of_the_volume_stays_free(
    isolated: Any, monkeypatch: pytest.MonkeyPatch, needed: int, fits: bool
) -> None:
    """For the archive, which the primary waits for."""
    monkeypatch.setattr(isolated.shutil, "disk_usage", lambda _: (1000, 0, 1000))
    if fits:
        isolated.check_space(needed)
    else:
        with pytest.raises(isolated.Failed, match="a tenth of the volume stays free"):
            isolated.check_space(needed)


def test_the_drill_holds_up_no_backup_and_waits_for_none(tmp_path: Path, job: str) -> None:
    """PLAT-45: jobs that write the repository wait for each other, the drill for another drill; a failed one is loud."""
    stand_in(tmp_path, "drill", "exit 1")
    program = job.replace(f"{LIBRARY}/drill", str(tmp_path / "drill"))
    with (tmp_path / "_run" / "keel-backup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(tmp_path, program, "drill").returncode == 1
    assert "job drill failed" in calls(tmp_path)
    metrics = (tmp_path / "_var_lib_pgbackrest_metrics" / "job_drill.prom").read_text()
    assert 'keel_job_last_exit_status{job="drill"} 1' in metrics


def test_cron_runs_the_drill_and_the_known_moment() -> None:
    """ADA-27, PLAT-45: weekly; the moment after backup and dumps."""
    crontab = files("jobs")["/etc/cron.d/keel"].content
    assert "0 4 * * 0 root /usr/local/lib/keel/job drill" in crontab
    assert "job full; /usr/local/lib/keel/job dumps; /usr/local/lib/keel/job known" in crontab
