"""A drill from its beginning to its report; server and repository are stand-ins."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keel_host import catalogue, examine, metrics, pgbackrest
from keel_host.config import BackupHost
from keel_host.drill_report import Check, Report
from keel_host.fingerprint import METHOD
from keel_host.known import KnownMoment
from keel_host.processes import Failed
from keel_host.programs import drill
from keel_host.revision import read_revision
from tests.stand_ins import calls, stand_in
from tests.unit.keel_host.hosts import backup_host

STOPPED = 1795312010
"""When the backup ended, 2026-11-22 01:46:50 UTC."""
LAST = datetime.fromtimestamp(STOPPED, UTC) + timedelta(minutes=5)
KNOWN = KnownMoment(
    "dev", "7000", "known-1", "0/7000100", "000000020000000000000007", "2026-11-22T01:50:00+00:00",
    tables={"ruleiq": {"public.users": [2, "77"]}}, method=METHOD,
)  # fmt: skip
HELD: dict[str, Any] = {
    "name": "dev", "status": {"code": 0, "message": "ok"}, "db": [{"id": 1, "system-id": 7000}], "archive": [{"id": "18-1", "max": "000000020000000000000008"}],
    "backup": [
        {
            "label": "20261122-014600F", "type": "full", "lsn": {"start": "0/5000000", "stop": "0/6000000"}, "info": {"size": 4096},
            "archive": {"start": "000000020000000000000005", "stop": "000000020000000000000006"},
            "timestamp": {"start": STOPPED - 10, "stop": STOPPED}, "database": {"id": 1, "repo-key": 1},
        }
    ],
}  # fmt: skip


BACKUP = pgbackrest.stanza(HELD).backups[0]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BackupHost:
    """A backup host, with its volume and its programs in a folder; who changes accounts there stays who it is."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    stand_in(tmp_path, "runuser", 'shift 3; exec "$@"')
    return backup_host(tmp_path)


class Server:
    """In place of a server: what it was asked for, in order."""

    def __init__(self, folder: Path) -> None:
        self.sockets, self.data, self.asked = folder / "sockets", folder / "data", list[str]()

    def restore(self, *options: str) -> None:
        """Its options."""
        self.asked.append(" ".join(options))

    def start(self) -> None:
        """Recover."""
        self.asked.append("start")

    def stop(self) -> None:
        """End."""
        self.asked.append("stop")

    def give(self, account: str) -> None:
        """Its files."""
        self.asked.append(f"to {account}")


class Run:
    """The drill with everything around it in place; a test changes what is there."""

    def __init__(self, host: BackupHost, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host, self.monkeypatch = host, monkeypatch
        self.server, self.held, self.known = Server(folder), json.loads(json.dumps(HELD)), KNOWN
        self.needed: list[int] = []
        self.found = {"public.users": [2, "77"]}
        self.put("stanza", lambda _: pgbackrest.stanza(self.held))
        self.put("scratch_server", self.scratch_server)
        self.put("reader", self.reader)
        self.put("apart", self.apart)
        self.put("fingerprint", lambda connection: self.found)
        self.put("examine", self.examine)
        self.put("last_commit", lambda server, wal, first: LAST)
        self.put("objections", lambda *command: [])
        self.record()

    def put(self, name: str, value: Any) -> None:
        """In place of a part of the drill."""
        self.monkeypatch.setattr(drill, name, value)

    def record(self) -> None:
        """The newest known moment."""
        (self.host.known_moments / "known-1.json").write_text(json.dumps(asdict(self.known)))

    @contextmanager
    def scratch_server(self, host: BackupHost, needed: int) -> Iterator[Server]:
        """The server, and how much space was asked for."""
        self.needed.append(needed)
        yield self.server

    @contextmanager
    def reader(self, sockets: Path, database: str) -> Iterator[str]:
        """A connection that is its own description."""
        yield f"{sockets} {database}"

    def apart(self, account: str, work: Callable[[], Any]) -> Any:
        """Work of another account, which gives back nothing but what a file can hold."""
        self.server.asked.append(f"as {account}")
        return json.loads(json.dumps(work()))

    def examine(self, host: BackupHost, sockets: Path) -> Iterator[Check]:
        """One check."""
        self.server.asked.append("examine")
        yield Check("examined", [], "all of it")

    def main(self) -> tuple[int, dict[str, Any]]:
        """Exit status and report."""
        status = drill.run(self.host)
        (path,) = self.host.drills.glob("*.json")
        return status, json.loads(path.read_text())


@pytest.fixture
def running(host: BackupHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A drill that passes."""
    return Run(host, tmp_path, monkeypatch)


def failed(report: dict[str, Any]) -> dict[str, list[str]]:
    """Check → objections, of those that failed."""
    return {check["name"]: check["objections"] for check in report["checks"] if check["objections"]}


def test_a_drill_that_passes(running: Run) -> None:
    """PLAT-35, ADA-26, ADA-27: the newest backup to the known moment, compared; then to a time by chance, examined."""
    status, report = running.main()
    assert (status, report["result"], failed(report)) == (0, "passed", {})
    first, second = (asked for asked in running.server.asked if asked.startswith("--set"))
    options = "--set=20261122-014600F --repo=1 --target-action=promote"
    assert first == f"{options} --type=name --target=known-1"
    assert second == f"{options} --type=time --target={report['target']}"
    assert running.server.asked == [
        first, "start", "as keel-scratch", "stop", "to postgres",
        second, "start", "as keel-scratch", "examine", "stop",
    ]  # fmt: skip
    assert running.needed == [4096]
    assert [check["name"] for check in report["checks"]] == [
        "identity",
        "fingerprints of ruleiq",
        "examined",
        "checksums",
    ]
    assert (report["backup"], report["known"]) == ("20261122-014600F", "known-1")
    assert report["window"] == ["2026-11-22T01:46:51Z", LAST.isoformat()]
    assert report["rto_seconds"] >= 0 and report["seconds"] >= report["rto_seconds"]
    began = datetime.fromisoformat(report["began"]).timestamp()
    assert abs(began - LAST.timestamp() - report["rpo_seconds"]) < 2


@pytest.mark.parametrize(("found", "says"), [([3, "99"], "holds 3 rows, recorded were 2"), ([2, "78"], "not the same")])
def test_a_table_that_differs_fails_it(running: Run, found: list[Any], says: str) -> None:
    """PLAT-35: and the rest of it is still carried out."""
    running.found["public.users"] = found
    status, report = running.main()
    assert (status, report["result"]) == (1, "failed")
    ((name, (objection,)),) = failed(report).items()
    assert name == "fingerprints of ruleiq" and says in objection
    assert running.server.asked[-1] == "stop" and report["target"]


def test_a_database_that_did_not_come_back_fails_it(running: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-35."""

    def refuse(sockets: Path, database: str) -> Any:
        raise psycopg.OperationalError('database "ruleiq" does not exist\n')

    running.put("reader", refuse)
    status, report = running.main()
    assert status == 1 and failed(report) == {"fingerprints of ruleiq": ['database "ruleiq" does not exist']}


def test_another_clusters_backup_is_not_even_restored(running: Run) -> None:
    """PLAT-35."""
    running.held["db"][0]["system-id"] = 7001
    status, report = running.main()
    assert status == 1 and list(failed(report)) == ["identity"]
    assert running.server.asked == [] and running.needed == []


def test_a_moment_that_no_recovery_ends_at_is_recorded_again(running: Run) -> None:
    """ADA-26: one before the backup; its successor is named now and awaited in the archive."""
    running.known = replace(KNOWN, lsn="0/5000000")
    running.record()

    def name(_: BackupHost) -> KnownMoment:
        return replace(KNOWN, name="known-2")

    running.put("name_moment", name)
    status, report = running.main()
    assert status == 0 and report["known"] == "known-2"
    assert running.server.asked[0].endswith("--target=known-2")


def test_without_a_known_moment_one_is_recorded(running: Run, tmp_path: Path) -> None:
    folder = running.host.known_moments
    (folder / "known-1.json").unlink()
    text = json.dumps(asdict(replace(KNOWN, name="known-3")))
    stand_in(tmp_path, "known-moment", f"cat > {folder}/known-3.json <<'EOF'\n{text}\nEOF")
    assert running.main()[1]["known"] == "known-3"


def test_the_newest_known_moment_counts(running: Run) -> None:
    older = json.dumps(asdict(replace(KNOWN, name="known-0")))
    (running.host.known_moments / "known-0.json").write_text(older)
    assert running.main()[1]["known"] == "known-1"


def test_nothing_committed_since_the_backup_is_an_objection(running: Run) -> None:
    """PLAT-32: a drill that examined nothing has not passed."""
    running.put("last_commit", lambda *_: None)
    status, report = running.main()
    assert (status, report["rpo_seconds"], report["target"]) == (1, None, None)
    assert "nothing was committed after 20261122-014600F" in failed(report)["carried out"][0]


@pytest.mark.parametrize(("after", "chosen"), [(1.0, False), (1.001, True)])
def test_the_end_of_a_backup_is_told_in_whole_seconds(after: float, chosen: bool) -> None:
    """ADA-27: a target within that second may lie before it."""
    last = datetime.fromtimestamp(STOPPED, UTC) + timedelta(seconds=after)
    if chosen:
        assert drill.choose(Report("dev", ""), BACKUP, last)
    else:
        with pytest.raises(Failed, match="nothing was committed"):
            drill.choose(Report("dev", ""), BACKUP, last)


def test_digests_that_were_made_otherwise_are_made_again(running: Run) -> None:
    """PLAT-35: those of an earlier release compare with nothing."""
    assert not drill.fits(replace(KNOWN, method=""), BACKUP, "000000020000000000000007")
    running.known = replace(KNOWN, method="")
    running.record()
    running.put("name_moment", lambda _: replace(KNOWN, name="known-2"))
    status, report = running.main()
    assert status == 0 and report["known"] == "known-2"


@pytest.mark.parametrize(("lsn", "fits"), [("0/6000000", False), ("0/6000001", True), ("1/0", True)])
def test_a_known_moment_lies_behind_the_backup(lsn: str, fits: bool) -> None:
    """A backup is consistent at its end, no sooner."""
    assert drill.fits(replace(KNOWN, lsn=lsn), BACKUP, "000000020000000000000008") is fits
    assert drill.fits(replace(KNOWN, lsn=lsn, wal="000000030000000000000007"), BACKUP, "0000000200000000") is fits


def test_a_segment_is_awaited_for_five_minutes(host: BackupHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-32: then the drill fails and says what is there."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    newest = "000000020000000000000006"

    def holding(*segments: str) -> pgbackrest.Stanza:
        return pgbackrest.stanza(HELD | {"archive": [{"id": "18-1", "max": segment} for segment in segments]})

    monkeypatch.setattr(drill, "stanza", lambda _: holding(newest if now[0] < 299 else KNOWN.wal))
    assert drill.await_archived(host, KNOWN.wal) == KNOWN.wal and 299 <= now[0] < 300
    monkeypatch.setattr(drill, "stanza", lambda _: holding("0" * 24, newest))
    now[0] = 0.0
    with pytest.raises(Failed, match=f"not in the archive after 300 s; the newest is {newest}"):
        drill.await_archived(host, KNOWN.wal)
    assert 300 <= now[0] <= 301


class Answers:
    """A connection that knows the answers to a drill's questions by the table they ask."""

    def __init__(self, **answers: list[tuple[Any, ...]]) -> None:
        self.answers = answers

    def execute(self, query: str | bytes, parameters: Any = None) -> Any:
        """The answer to the question whose words name a key."""
        query = query if isinstance(query, str) else query.decode()
        rows = next(rows for key, rows in self.answers.items() if key in query)
        return type("Cursor", (), {"fetchall": lambda _: rows, "fetchone": lambda _: rows[0] if rows else None})()

    @contextmanager
    def cursor(self) -> Iterator[Answers]:
        """For COPY."""
        yield self

    @contextmanager
    def copy(self, query: str | bytes) -> Iterator[list[bytes]]:
        """The answer as COPY writes it."""
        yield ["\t".join(row).encode() + b"\n" for row in self.execute(query).fetchall()]


def answering(**answers: list[tuple[Any, ...]]) -> Any:
    """Such a connection."""
    return Answers(**answers)


QUESTION = [("copy alembic.alembic_version (version_num) to stdout",)]


@pytest.mark.parametrize(
    ("answers", "at"),
    [
        ({"pg_class": []}, None),
        ({"pg_class": QUESTION, "version_num": []}, None),
        ({"pg_class": QUESTION, "version_num": [("012_last",)]}, "012_last"),
    ],
)
def test_where_a_database_is_in_its_history(answers: dict[str, Any], at: str | None) -> None:
    assert read_revision(answering(**answers)) == at


def test_extensions_and_catalogue_are_compared(
    host: BackupHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-35: missing and extra, by name; plpgsql is everywhere."""
    (record := tmp_path / "ruleiq.txt").write_text("table users: forced\n")
    monkeypatch.setattr(catalogue, "read", lambda connection: catalogue.recorded(record))
    here, product = answering(pg_extension=[("plpgsql",), ("pg_trgm",), ("dblink",)]), host.products["ruleiq"]
    found, note = examine.schema(here, product, record)
    assert found == ["missing: extension pg_stat_statements", "extra: extension dblink"]
    assert note == f"1 lines of the recorded catalogue, at revision {product.head}"


def test_an_open_table_is_named(host: BackupHost) -> None:
    """PLAT-35, PLAT-15: enabled, forced and with policies, on every table of users' rows."""
    for word in ("relrowsecurity", "relforcerowsecurity", "pg_policy"):
        assert word in examine.ROW_LEVEL_SECURITY
    product = host.products["ruleiq"]
    found, note = examine.row_level_security(answering(pg_class=[("users",)]), product)
    assert found == ["users is open"] and f"on {len(product.tenants)} tables" in note
    assert examine.row_level_security(answering(pg_class=[]), product)[0] == []


def examined(
    host: BackupHost, monkeypatch: pytest.MonkeyPatch, there: list[str], revisions: dict[str, str]
) -> dict[str, Any]:
    """What `examine` asks where these databases are there, at these revisions: check → objections and note."""
    asked: list[tuple[str, ...]] = []
    prepared: list[str] = []

    @contextmanager
    def reader(sockets: Path, database: str) -> Iterator[Any]:
        yield answering(pg_database=[(name,) for name in there]) if database == "postgres" else database

    monkeypatch.setattr(examine, "reader", reader)
    monkeypatch.setattr(examine, "read_revision", revisions.get)
    monkeypatch.setattr(examine, "schema", lambda connection, product, record: ([f"of {record.stem}"], "compared"))
    monkeypatch.setattr(
        examine, "row_level_security", lambda connection, product: ([f"open in {connection}"], "forced")
    )
    monkeypatch.setattr(examine, "prepare_amcheck", lambda sockets, database: prepared.append(database))

    def objections(*command: str) -> list[str]:
        asked.append(command)
        return ["corrupt"]

    monkeypatch.setattr(examine, "objections", objections)
    found = {check.name: check.objections or check.note for check in examine.examine(host, Path("/own"))}
    amcheck = ("-h", "/own", "-U", "keel_scratch", "--all", "--heapallindexed")
    assert asked == [(f"{host.binaries}/pg_amcheck", *amcheck)] and prepared == there
    return found


def test_what_can_be_examined_is(host: BackupHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-35: each database at its newest revision; one that is older or younger is not compared, and said to be."""
    heads = {name: product.head for name, product in host.products.items()}
    revisions = heads | {"ruleiq": "011_before"}
    found = examined(host, monkeypatch, [name for name in heads if name != "jeex_idea"], revisions)
    assert found == {
        "schema of ai_assistant": ["of ai_assistant"],
        "schema of bacopilot": ["of bacopilot"],
        "row-level security of bacopilot": ["open in bacopilot"],
        "schema of componentforge": ["of componentforge"],
        "row-level security of componentforge": ["open in componentforge"],
        "schema of jeex_idea": "its database is younger than the target",
        "schema of ruleiq": f"at revision 011_before; the record describes {heads['ruleiq']}: not compared",
        "pg_amcheck": ["corrupt"],
    }


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("exit 0", []),
        ("echo chatter", []),
        ("echo bad; echo worse >&2; exit 2", ["bad", "worse"]),
        ("exit 3", ["exit status 3"]),
    ],
)
def test_a_program_that_checks_has_the_last_word(tmp_path: Path, script: str, found: list[str]) -> None:
    """PLAT-32: silent failure is one too."""
    stand_in(tmp_path, "checks", script)
    assert examine.objections(str(tmp_path / "checks")) == found


def test_a_report_shows_no_more_than_a_person_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """The program's has everything."""
    report = Report("dev", "now", result="failed", seconds=61.4)
    many = [f"table {number}" for number in range(60)]
    assert report.check("fine", [], "all of it") and not report.check("tables", many)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "fine: all of it" and second == "tables: FAILED: table 0; table 1; table 2; table 3; table 4"
    lines = report.text().splitlines()
    assert lines[:3] == ["drill of dev, now: failed after 61 s", "  ok      fine: all of it", "  FAILED  tables"]
    assert lines[3:] == [f"          {line}" for line in many[:50]]
    assert report.checks[1].objections == many


def test_what_left_out_tables_is_said(running: Run) -> None:
    running.known = replace(KNOWN, moving={"ruleiq": ["public.busy"]})
    running.record()
    running.found["public.busy"] = [9, "9"]
    status, report = running.main()
    assert status == 0
    (check,) = (check for check in report["checks"] if check["name"] == "fingerprints of ruleiq")
    assert (
        check["note"]
        == "1 tables, 11 rows as recorded at known-1; left out because they were being written: public.busy"
    )


def test_a_repository_without_a_backup_fails_it(host: BackupHost, tmp_path: Path) -> None:
    """PLAT-32."""
    told = [{"name": "dev", "backup": [], "status": {"code": 2, "message": "no valid backups"}}]
    stand_in(tmp_path, "pgbackrest", f"echo '{json.dumps(told)}'")
    with pytest.raises(Failed, match="holds no backup of dev: no valid backups"):
        drill.stanza(host)
    asked = "pgbackrest --stanza=dev --repo=1 --log-level-console=error --output=json info\n"
    assert calls(tmp_path) == f"runuser -u postgres -- {asked}{asked}"


def test_metrics_of_a_drill_that_passed(running: Run) -> None:
    """PLAT-45: what was not measured is left out, so that no alert reads a zero."""
    assert running.main()[0] == 0
    found = {sample.name: sample.value for sample in metrics.read(running.host.metrics / "drill.prom")}
    assert found["keel_drill_last_passed"] == 1
    assert found.keys() == {
        f"keel_drill_last_{name}"
        for name in ("timestamp_seconds", "passed", "duration_seconds", "rto_seconds", "rpo_seconds")
    }
