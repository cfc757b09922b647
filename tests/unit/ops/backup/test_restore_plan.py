"""Which backup a restore begins with, what it says will be lost, and what it refuses before anything is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from environment.errors import Refused
from environment.products import catalogue
from environment.settings import Repository
from keel_host import pgbackrest
from keel_host.gaps import COVERED, OPEN, ArchiveGap
from keel_host.wal import TimelineHistory, lsn_of, position
from ops.backup import gaps, jobs, partial_restore, repository, restore, restore_points
from ops.cli.app import app
from ops.hosts.session import Session
from tests.unit.cli_fakes import opened, session

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
POINTS = [
    {"name": "ruleiq-empty-012-20261122T063000Z", "lsn": "0/800", "time": "06:30", "database": "ruleiq"},
    {"name": "ruleiq-007-008-20261122T100000Z", "lsn": "0/2500", "time": "10:00", "database": "ruleiq"},
]


def made(label: str, hour: int, lsn: str, repository: int = 1) -> dict[str, Any]:
    """A backup of an hour's length that ended at that hour and position, in a repository."""
    stop = int(NOON.replace(hour=hour).timestamp())
    return {
        "label": label, "type": "full", "prior": None, "error": False, "timestamp": {"start": stop - 3600, "stop": stop},
        "archive": {"start": "000000010000000000000001", "stop": "000000010000000000000002"}, "lsn": {"start": lsn_of(position(lsn) - 256), "stop": lsn}, "database": {"id": 1, "repo-key": repository},
        "info": {"size": 100 * 2**20, "delta": 1, "repository": {"delta": 1}},
    }  # fmt: skip


STANZA: dict[str, Any] = {
    "name": "dev", "status": {"code": 0, "message": "ok"}, "db": [{"id": 1, "version": "18"}],
    "backup": [made("A", 7, "0/1000"), made("B", 9, "0/2000"), made("C", 11, "0/3000")],
}  # fmt: skip


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with three backups whose primary answers."""
    monkeypatch.setenv("ENV", "dev")
    opened(monkeypatch, session(tmp_path))
    monkeypatch.setattr(repository, "stanza", lambda _: pgbackrest.stanza(STANZA))
    monkeypatch.setattr(restore_points, "recorded", lambda _: POINTS)
    monkeypatch.setattr(gaps, "unreachable", lambda _: [])
    monkeypatch.setattr(restore, "newest_commit", lambda _: NOON)
    monkeypatch.setattr(restore, "interrupted", lambda _: None)
    monkeypatch.setattr(restore, "_check_reached", lambda *_: None)
    return tmp_path


@pytest.mark.parametrize(
    ("to", "label"),
    [
        ("latest", "C"),
        ("2026-11-22T11:30:00Z", "C"),
        ("2026-11-22T10:59:00Z", "B"),  # C had not ended yet
        ("2026-11-22T07:00:01Z", "A"),
        ("0/2FFF", "B"),
        ("0/3000", "C"),
        ("ruleiq-007-008-20261122T100000Z", "B"),
        ("742", "A"),  # which backups a transaction came after is not known
    ],
)
def test_it_begins_with_the_newest_backup_that_ended_before(environment: Path, to: str, label: str) -> None:
    """PLAT-34."""
    assert restore.plan(session(environment), to).label == label


@pytest.mark.parametrize(
    ("to", "options", "words"),
    [
        ("2026-11-22T06:00:00Z", {}, "cannot be reached: you can restore to times from 2026-11-22 07:00:00"),
        ("2026-11-22T12:00:01Z", {}, r"to 2026-11-22 12:00:00 UTC \(the last commit\)"),
        ("0/FFF", {}, "no backup ended before lsn 0/FFF .*; there are A, B, C"),
        ("ruleiq-empty-012-20261122T063000Z", {}, "no backup ended before name"),
        ("nobody-gave-it", {}, "is recorded"),
        ("latest", {"label": "D"}, "D is no backup that ended before .*; there are A, B, C"),
        ("2026-11-22T08:00:00Z", {"label": "C"}, "C is no backup that ended before"),
    ],
)
def test_what_cannot_be_is_refused(environment: Path, to: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        restore.plan(session(environment), to, **options)


@pytest.mark.parametrize(("fork", "label"), [("0/3000", "C"), ("0/2FFF", "B"), ("0/1000", "A")])
def test_a_backup_of_an_abandoned_timeline_is_passed_over(
    environment: Path, monkeypatch: pytest.MonkeyPatch, fork: str, label: str
) -> None:
    """After an earlier restore: what was made beyond its fork does not lead to the present."""
    monkeypatch.setattr(repository, "newest_timeline", lambda *_: 2)
    monkeypatch.setattr(repository, "timeline_history", lambda *_: TimelineHistory(2, ((1, position(fork)),)))
    assert restore.plan(session(environment), "latest").label == label


def test_backups_of_two_keys_stand_in_one_order(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-33: the newest one is taken, whichever repository is told of last."""
    told = {**STANZA, "backup": STANZA["backup"][::-1]}
    monkeypatch.setattr(repository, "stanza", lambda _: pgbackrest.stanza(told))
    assert restore.plan(session(environment), "latest").label == "C"


def test_timelines_are_sought_under_every_key(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-34: the repository of a new key has no history of what was before it."""
    monkeypatch.undo()
    places = [{"id": "18-1", "min": None, "max": None, "database": {"id": 1, "repo-key": key}} for key in (1, 2)]
    held = pgbackrest.stanza({**STANZA, "archive": places})

    def command(_session: object, arguments: str) -> str:
        if "--repo=1" in arguments and "repo-get" in arguments:
            raise repository.RepositoryFailed("missing")
        return "0000000100000000\n" if "--repo=1" in arguments else HISTORIES["repo-get" in arguments]

    monkeypatch.setattr(repository, "command", command)
    there = session(environment)
    assert repository.newest_timeline(there, held) == 3
    assert repository.timeline_history(there, held, 3) == TimelineHistory(3, ((1, 0x1000), (2, 0x2000)))
    alone = replace(held, archive=held.archive[:1])
    assert repository.newest_timeline(there, alone) == 1
    assert repository.timeline_history(there, alone, 3) == TimelineHistory(3)


HISTORIES = ("00000002.history\n00000003.history\n", "1\t0/1000\treason\n2\t0/2000\treason\n")
"""What the older repository lists, and its newest history."""


def test_an_abandoned_timeline_can_be_asked_for(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its backups are still there."""
    monkeypatch.setattr(repository, "newest_timeline", lambda *_: 2)
    forks = {2: ((1, 0x1000),)}
    monkeypatch.setattr(repository, "timeline_history", lambda _s, _h, line: TimelineHistory(line, forks.get(line, ())))
    assert restore.plan(session(environment), "latest", timeline="1").label == "C"


def gap(since: str, until: str, begin: str, end: str, timeline: int = 1) -> ArchiveGap:
    """A gap of one segment."""
    name = f"{timeline:08X}000000000000000A"
    return ArchiveGap(name, name, 1, begin, end, since, until, "found", COVERED if until else OPEN)


LOST = gap("2026-11-22T09:30:00Z", "2026-11-22T11:00:00Z", "0/2400", "0/2600")
"""Between the backups B and C."""


@pytest.mark.parametrize("to", ["2026-11-22T09:30:01Z", "2026-11-22T10:59:59Z", "0/2500", "0/2FFF", POINTS[1]["name"]])
def test_nothing_in_a_gap_is_restored(environment: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    """PLAT-34: with the sentence that says which moments are lost."""
    monkeypatch.setattr(gaps, "unreachable", lambda _: [LOST])
    with pytest.raises(
        Refused,
        match=r"between 2026-11-22T09:30:00Z and 2026-11-22T11:00:00Z can be restored: WAL .* Nothing was",
    ):
        restore.plan(session(environment), to)


@pytest.mark.parametrize("to", ["2026-11-22T09:29:59Z", "2026-11-22T11:00:01Z", "0/2400", "0/3000", "latest"])
def test_what_lies_beside_a_gap_is_restored(environment: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    """PLAT-34: from the backup on its own side."""
    monkeypatch.setattr(gaps, "unreachable", lambda _: [LOST])
    assert restore.plan(session(environment), to).label == ("B" if to in ("2026-11-22T09:29:59Z", "0/2400") else "C")


def test_a_backup_that_begins_where_the_gap_ends_needs_nothing_of_it(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_there = gap("2026-11-22T09:30:00Z", "2026-11-22T10:30:00Z", "0/2400", "0/2F00")
    monkeypatch.setattr(gaps, "unreachable", lambda _: [ends_there])
    assert restore.plan(session(environment), "latest").label == "C"


def test_no_older_backup_leads_over_a_gap(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "unreachable", lambda _: [LOST])
    with pytest.raises(Refused, match="cannot be reached: no moment between"):
        restore.plan(session(environment), "2026-11-22T11:30:00Z", label="A")


def test_the_newest_moment_waits_for_a_backup_after_the_gap(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "unreachable", lambda _: [gap("2026-11-22T11:10:00Z", "", "0/3500", "0/3600")])
    with pytest.raises(Refused, match="nothing that was committed after 2026-11-22T11:10:00Z can be restored"):
        restore.plan(session(environment), "latest")
    assert restore.plan(session(environment), "2026-11-22T11:09:00Z").label == "C"


def test_a_gap_on_an_abandoned_timeline_is_in_nobodys_way(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies after the fork; whoever asks for that timeline meets it."""
    monkeypatch.setattr(repository, "newest_timeline", lambda *_: 2)
    forks = {2: ((1, 0x2000),)}
    monkeypatch.setattr(repository, "timeline_history", lambda _s, _h, line: TimelineHistory(line, forks.get(line, ())))
    monkeypatch.setattr(gaps, "unreachable", lambda _: [LOST])
    assert restore.plan(session(environment), "2026-11-22T10:00:00Z").label == "B"
    with pytest.raises(Refused, match="between"):
        restore.plan(session(environment), "2026-11-22T10:00:00Z", timeline="1")


TWICE: dict[str, Any] = {
    **STANZA, "archive": [
        {"id": "18-1", "min": None, "max": None, "database": {"id": 1, "repo-key": number}} for number in (2, 1)
    ],
    "backup": [made("A", 7, "0/1000", 2), made("B", 9, "0/2000"), made("C", 11, "0/3000", 2)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("to", "number", "label"),
    [
        ("latest", None, "B"),  # the newest one is far away
        ("latest", 2, "C"),
        ("2026-11-22T08:00:00Z", None, "A"),  # the nearest does not go back so far
        ("700", None, "A"),  # of a transaction only the oldest one is certainly older
    ],
)
def test_the_nearest_repository_that_can_is_restored_from(
    environment: Path, monkeypatch: pytest.MonkeyPatch, to: str, number: int | None, label: str
) -> None:
    """PLAT-34."""
    monkeypatch.setattr(repository, "stanza", lambda _: pgbackrest.stanza(TWICE))
    monkeypatch.setattr(repository, "newest_timeline", lambda *_: 1)
    wanted = restore.plan(session(environment), to, number=number)
    assert (wanted.label, wanted.repository) == (label, 2 if label in "AC" else 1)


def test_a_repository_without_a_fitting_backup_is_named(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = run("restore", "--to", "latest", "--repository", "2")
    assert refused.exit_code == 2 and "in repository 2 no backup ended before" in refused.stderr


EVERYWHERE = {"second": {"endpoint": "s3.example.com", "bucket": "backups"}}


def two(environment: Path) -> Session:
    """A session with an environment that has a second repository."""
    opened = session(environment)
    settings = Repository.model_validate(EVERYWHERE)
    return replace(opened, manifest=opened.manifest.model_copy(update={"repository": settings}))


def test_a_backup_is_made_in_both_whatever_becomes_of_one(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-31, PLAT-32: and the one that failed is named."""
    ran: list[str] = []

    def follow(_session: object, _host: str, shell: str, _report: object) -> None:
        ran.append(shell.rpartition(" ")[2])
        if shell.endswith("-second"):
            raise repository.RepositoryFailed("connection refused")

    monkeypatch.setattr(repository, "follow", follow)
    with pytest.raises(repository.RepositoryFailed, match=r"^repository 2 \(S3\): connection refused$"):
        jobs.run_everywhere(two(environment), jobs.Job.FULL, print)
    assert ran == ["full", "full-second"]
    jobs.run_everywhere(two(environment), jobs.Job.DUMPS, print)
    jobs.run(two(environment), jobs.Job.FULL, print)
    assert ran[2:] == ["dumps", "full"]


def test_every_repository_is_verified(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-35: damage in one keeps no other from being read."""

    def follow(_session: object, _host: str, shell: str, report: Callable[[str], None]) -> None:
        report("status: error" if "--repo=1" in shell else "status: ok")
        asked.append(shell.partition("--repo=")[2][0])

    asked: list[str] = []
    monkeypatch.setattr(repository, "follow", follow)
    with pytest.raises(
        repository.RepositoryFailed, match=r"^repository 1 \(backup volume\): the repository is damaged"
    ):
        jobs.verify(two(environment), print)
    assert asked == ["1", "2"]


def test_a_position_counts_in_both_halves() -> None:
    assert position("1/0") > position("0/FFFFFFFF")


def test_what_is_lost_is_said_as_a_time(environment: Path) -> None:
    wanted = restore.plan(session(environment), (NOON - timedelta(minutes=90)).isoformat())
    assert wanted.lost == "everything committed after 2026-11-22 10:30:00 UTC, the last 1:30:00"
    assert restore.plan(session(environment), "latest").lost == "nothing that is committed now"


def run(*arguments: str, given: str = "") -> Result:
    return CliRunner().invoke(app, arguments, input=given)


def test_nobody_to_ask_is_nobody_who_agreed(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Design, principle 9: it shows what it will do first."""
    monkeypatch.setattr(restore, "apply", lambda *_: pytest.fail("nothing may happen"))
    asked = run("restore", "--to", "latest")
    assert asked.exit_code == 2 and "no terminal to ask" in asked.stderr
    assert asked.stdout.splitlines() == [
        "dev goes back to the newest archived moment",
        "  lost:      nothing that is committed now",
        "  reach:     from 2026-11-22 07:00:00 UTC to 2026-11-22 12:00:00 UTC",
        "  backup:    C in repository 1, 100 MiB",
        "  takes:     about 32 s, in which nothing can be written",
        "  the present state stays in the repository on its own timeline",
    ]


def test_a_table_needs_its_product(environment: Path) -> None:
    assert "has no meaning without --product" in run("restore", "--to", "latest", "--table", "users").stderr


def test_a_product_is_one_of_this_environment(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_restore, "product", lambda *_: pytest.fail("nothing may happen"))
    refused = run("restore", "--to", "latest", "--product", "nothing", "--yes")
    assert refused.exit_code == 2 and "nothing" in refused.stderr


def test_rolling_back_shows_both_ways(environment: Path) -> None:
    """JEEX-24, ADA-19: downgrade or restore, each with what becomes of later rows."""
    shown = run("db", "rollback", "ruleiq")
    assert "from 007_add_evidence_metadata to 008_fix_truncated_column_names" in shown.stdout
    assert "downgrade:" in shown.stdout and "restore:" in shown.stdout
    assert shown.exit_code == 2 and "Add --how" in shown.stderr


def test_rolling_back_to_the_point_restores_that_product(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JEEX-24."""
    done: list[tuple[str, str]] = []
    monkeypatch.setattr(restore, "archive_all", lambda _: None)

    def product(_session: object, name: str, wanted: restore.Plan, _report: object) -> str:
        done.append((name, wanted.end.value))
        return f"{name}_before"

    monkeypatch.setattr(partial_restore, "product", product)
    told = run("db", "rollback", "ruleiq", "--how", "restore")
    assert done == [("ruleiq", "ruleiq-007-008-20261122T100000Z")]
    assert told.exit_code == 0 and 'keel:products.ruleiq.revision "007_add_evidence_metadata"' in told.stdout


def test_the_point_of_an_empty_database_is_no_way_back(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_points, "recorded", lambda _: POINTS[:1])
    assert "there is nothing to undo" in run("db", "rollback", "ruleiq").stderr


@pytest.mark.parametrize("product", sorted(set(catalogue()) - {"ruleiq"}))
def test_without_a_migration_there_is_nothing_to_roll_back(environment: Path, product: str) -> None:
    assert "there is nothing to undo" in run("db", "rollback", product).stderr


@pytest.mark.parametrize(
    ("to", "newest", "timeline"),
    [("2026-11-22T10:00:00Z", None, "1"), ("latest", None, "latest"), ("2026-11-22T10:00:00Z", NOON, "latest")],
)
def test_an_interrupted_restore_goes_on_along_its_timeline(
    environment: Path, monkeypatch: pytest.MonkeyPatch, to: str, newest: datetime | None, timeline: str
) -> None:
    """PLAT-34: unless a primary answers, or everything is wanted: what the interrupted one began is empty."""
    monkeypatch.setattr(restore, "newest_commit", lambda _: newest)
    monkeypatch.setattr(restore, "interrupted", lambda _: {"end": "before", "timeline": "1"})
    assert restore.plan(session(environment), to).timeline == timeline
