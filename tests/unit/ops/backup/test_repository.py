"""The repository as pgBackRest tells of it, and the jobs that are run on its host."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from environment.errors import Refused
from environment.recovery import target
from keel_host import pgbackrest
from keel_host.pgbackrest import Archive, Backup
from keel_host.typed import build
from keel_host.wal import TimelineHistory, ancestry
from ops.backup import choice, drill, jobs, repository, restore_points
from ops.backup.repository import RepositoryFailed
from roles import paths
from tests.unit.hosts import Database, Hosts, hosts, nothing
from tests.unit.ops.backup.test_restore_plan import NOON, STANZA, made, two

BACKUP = build(
    Backup,
    made("A", 7, "0/1000", 2) | {"archive": {"start": "0000001A0000000000000001", "stop": "0000001A0000000000000002"}},
)


def test_a_backup_is_read_as_pgbackrest_tells_it() -> None:
    """PLAT-33."""
    seven = datetime(2026, 11, 22, 7, tzinfo=UTC)
    assert (BACKUP.stopped, BACKUP.started) == (seven, seven - timedelta(hours=1))
    assert BACKUP.timeline == 0x1A
    assert (BACKUP.repository, BACKUP.bytes_stored) == (2, 1)
    assert replace(BACKUP, info=replace(BACKUP.info, repository={})).bytes_stored == 0
    assert replace(BACKUP, info=replace(BACKUP.info, repository={"delta": None})).bytes_stored == 0
    assert Archive("18-1").repository == 1
    assert Archive("18-1", database={"id": 1, "repo-key": 2}).repository == 2


def verdict(key: int, code: int, message: str = "ok") -> dict[str, Any]:
    """pgBackRest's, of one repository."""
    return {"key": key, "status": {"code": code, "message": message}}


def test_a_stanza_says_what_holds_something_and_what_does_not_answer() -> None:
    """PLAT-36: a repository that does not answer may hold everything."""
    each = [verdict(1, 0), verdict(2, 1, "missing stanza path"), verdict(3, 99, "no answer")]
    stanza = pgbackrest.stanza(STANZA | {"repo": each})
    assert (stanza.exists, stanza.holding, stanza.unanswered) == (True, {1, 3}, ["3: no answer"])
    assert stanza.folder(Archive("18-1")) == "archive/dev/18-1"
    for code, exists in ((1, False), (2, True), (0, True), (99, True)):
        assert pgbackrest.stanza({"name": "dev", "status": {"code": code, "message": ""}}).exists is exists


def test_a_backups_server_version_is_that_of_its_own_history() -> None:
    """PLAT-33: histories of two repositories have the same numbers."""
    histories = [
        {"id": 1, "version": "15", "repo-key": 1},
        {"id": 2, "version": "16", "repo-key": 2},
        {"id": 1, "version": "17", "repo-key": 2},
    ]
    assert pgbackrest.stanza(STANZA | {"db": histories}).history(BACKUP).version == "17"
    assert pgbackrest.stanza(STANZA).history(BACKUP).version == "18"


def test_what_pgbackrest_refuses_is_told_with_its_words(tmp_path: Path) -> None:
    """PLAT-32: it has two minutes; where it writes no error, its output says why."""
    session = hosts(tmp_path)
    session.says["ops1", paths.pgbackrest(session.manifest, paths.INFO)] = [
        json.dumps([STANZA]),
        subprocess.CalledProcessError(55, "ssh", "out\n", "no such path\n"),
        subprocess.CalledProcessError(56, "ssh", "on output\n", ""),
    ]
    assert repository.stanza(session).name == "dev"
    for words in ("ended with status 55: no such path$", "ended with status 56: on output$"):
        with pytest.raises(RepositoryFailed, match=rf"^ops1: pgbackrest .*{words}"):
            repository.stanza(session)
    assert {timeout for _, _, timeout in session.ran} == {120}


def test_the_first_timeline_has_no_history(tmp_path: Path) -> None:
    """And where nothing at all is known the first is the newest."""
    session, empty = hosts(tmp_path), pgbackrest.stanza({"name": "dev", "status": {"code": 1, "message": ""}})
    place = {"id": "18-1", "min": None, "max": None}
    assert repository.newest_timeline(session, empty) == 1
    assert repository.timeline_history(session, pgbackrest.stanza(STANZA | {"archive": [place]}), 1) == ancestry(1, "")
    session.says["ops1", "repo-ls"] = "0000000A.history\n0000000B.history.tmp\nX0000000C.history\n"
    assert repository.newest_timeline(session, pgbackrest.stanza(STANZA | {"archive": [place]})) == 10
    session.says["ops1", "repo-get archive/dev/18-1/0000000A.history"] = "1\t0/10\tx\n\n9\t0/90\ty\n"
    found = repository.timeline_history(session, pgbackrest.stanza(STANZA | {"archive": [place]}), 10)
    assert found == TimelineHistory(10, ((1, 0x10), (9, 0x90)))


def test_the_end_of_what_a_long_command_said_is_in_its_error(tmp_path: Path) -> None:
    """PLAT-32: fifteen lines, without pgBackRest's decoration; all of them are told as they come."""
    told: list[str] = []
    session = hosts(
        tmp_path, programs={"{ lines; } 2>&1": "seq 20; echo 'P00   INFO: end '; exit 3", "fine": "echo so"}
    )
    with pytest.raises(RepositoryFailed) as failed:
        repository.follow(session, "ops1", "lines", told.append)
    assert told == [*map(str, range(1, 21)), "end"]
    assert str(failed.value).splitlines() == ["ops1: ended with status 3", *(f"    {line}" for line in told[-15:])]
    repository.follow(session, "ops1", "fine", told.append)
    assert told[-1] == "so"


@pytest.mark.parametrize(("free", "enough"), [(30, True), (29, False), (31, True)])
def test_a_tenth_of_a_volume_stays_free(tmp_path: Path, free: int, enough: bool) -> None:
    """PLAT-35: of 100 GiB, when 20 come."""
    session = hosts(tmp_path)
    session.says["ops1", "df -B1 --output=size,avail /there"] = f"{100 * 2**30} {free * 2**30}\n"
    if enough:
        repository.check_space(session, "ops1", "/there", 20 * 2**30)
        return
    with pytest.raises(RepositoryFailed, match=r"^ops1: /there has 29.0 GiB free; 20.0 GiB are needed, and a tenth"):
        repository.check_space(session, "ops1", "/there", 20 * 2**30)


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Long commands, by host; each says one line."""
    done: list[tuple[str, str]] = []

    def follow(_session: Hosts, host: str, shell: str, report: Callable[[str], None]) -> None:
        done.append((host, shell))
        report("a line")

    monkeypatch.setattr(repository, "follow", follow)
    return done


@pytest.mark.parametrize(
    ("job", "crons"),
    [("full", ["full", "full-second"]), ("incremental", ["incremental", "incremental-second"]), ("dumps", ["dumps"]),
     ("known", ["known"])],
)  # fmt: skip
def test_jobs_are_crons(tmp_path: Path, followed: list[tuple[str, str]], job: str, crons: list[str]) -> None:
    """PLAT-31: a backup in each repository that is written, dumps and known moments once."""
    (tmp_path / "session").mkdir()
    jobs.run_everywhere(two(tmp_path), jobs.Job(job), nothing)
    assert followed == [("ops1", f"{paths.JOB} --follow {name}") for name in crons]


@pytest.mark.parametrize(
    ("holding", "read"), [([verdict(1, 0)], "1"), ([verdict(1, 1)], "1"), ([verdict(1, 0), verdict(2, 0)], "12")]
)
def test_what_holds_something_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, followed: list[tuple[str, str]], holding: list[Any], read: str
) -> None:
    """PLAT-35: also a repository that is written no more; the account of each is returned and told."""
    monkeypatch.setattr(repository, "stanza", lambda _: pgbackrest.stanza(STANZA | {"repo": holding}))
    told: list[str] = []
    session = two(tmp_path) if read == "12" else hosts(tmp_path)
    account = jobs.verify(session, told.append)
    assert account.count("repository ") == account.count("a line") == len(told) == len(read)
    assert [shell.partition("--repo=")[2][0] for _, shell in followed] == list(read)


def test_what_retention_would_remove_is_named(tmp_path: Path, followed: list[tuple[str, str]]) -> None:
    """PLAT-33: by a dry run, which removes nothing."""
    session = hosts(tmp_path)
    said = "P00   INFO: repo1: expire full backup set\nP00   INFO: repo1: remove expired backup 20261001-020000F\n"
    session.says["ops1", "--dry-run --log-level-console=info expire"] = said
    assert jobs.expirable(session) == ["20261001-020000F"]
    jobs.expire(session, nothing)
    assert followed == [("ops1", paths.pgbackrest(session.manifest, "--log-level-console=info expire"))]


def test_dumps_and_restore_points_are_read_as_written(tmp_path: Path) -> None:
    """PLAT-33."""
    session = hosts(tmp_path)
    session.says["ops1", f"find {paths.DUMPS} -name '*.json'"] = '{"database": "a"}\n{"database": "b"}\n'
    session.says["ops1", f"cat {paths.POINTS}"] = '{"name": "x", "lsn": "0/1"}\n'
    assert [found["database"] for found in jobs.dumps(session)] == ["a", "b"]
    assert restore_points.recorded(session) == [{"name": "x", "lsn": "0/1"}]


def test_a_restore_points_name_is_a_word_to_the_shell(tmp_path: Path) -> None:
    """PLAT-34: whatever it is called, it is written down as it was given, and nothing is run."""
    name, session = "it's $(reboot) `now`", hosts(tmp_path, server=Database(rows={"restore_point": [("0/2500",)]}))
    session.says["ops1", paths.POINTS] = ""
    assert restore_points.create(session, "ruleiq", name) == "0/2500"
    assert session.server.executed == [("postgres", "select pg_create_restore_point(%s)::text", [name])]
    ((host, command, _),) = session.ran
    words = shlex.split(command.replace(";", " ; "))
    assert (host, words[0], words[2:]) == (
        "ops1",
        "echo",
        [">>", paths.POINTS, ";", "chown", "postgres:", paths.POINTS],
    )
    entry = json.loads(words[1])
    assert (entry["name"], entry["lsn"], entry["database"]) == (name, "0/2500", "ruleiq")
    assert datetime.fromisoformat(entry["time"]).tzinfo == UTC


@pytest.mark.parametrize(
    ("to", "begins"),
    [
        (NOON.replace(hour=9).isoformat(), "A"),  # B ended in that very second: not before it
        (NOON.replace(hour=9, second=1).isoformat(), "B"),
        ("0/2000", "B"),
    ],
)
def test_a_backup_ends_before_its_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, begins: str) -> None:
    """PLAT-34."""
    monkeypatch.setattr(repository, "newest_timeline", lambda *_: 1)
    held = pgbackrest.stanza(STANZA)
    assert choice.begin_with(hosts(tmp_path), held, target(to)).label == begins


def test_without_backups_none_is_named(tmp_path: Path) -> None:
    held = pgbackrest.stanza({"name": "dev", "status": {"code": 0, "message": "ok"}})
    with pytest.raises(Refused, match=r"^no backup ended before .* timeline latest; there are none\."):
        choice.begin_with(hosts(tmp_path), held, target("latest"))


def reports(*began: str) -> str:
    """What drills left on the backup host."""
    return "".join(json.dumps({"began": one}) + "\n" for one in began)


@pytest.mark.parametrize(("after", "new"), [(reports("a", "b"), True), (reports("a"), False)])
def test_a_drill_that_failed_may_have_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str, new: bool
) -> None:
    """ADA-27: its own, never the one before; a drill that ends well has one."""
    session = hosts(tmp_path)
    session.says["ops1", f"cd {paths.DRILLS}"] = [reports("a"), after, after, reports("a"), reports("a", "c")]

    def fail(*_: object) -> None:
        raise RepositoryFailed("the drill failed")

    monkeypatch.setattr(repository, "follow", fail)
    if not new:
        with pytest.raises(RepositoryFailed, match="the drill failed"):
            drill.run(session, nothing)
        return
    assert drill.run(session, nothing)["began"] == "b"
    monkeypatch.setattr(repository, "follow", lambda _s, host, shell, _r: ran.append((host, shell)))
    ran: list[tuple[str, str]] = []
    assert drill.run(session, nothing)["began"] == "c"
    assert ran == [("ops1", f"{paths.JOB} --follow drill")]


@pytest.mark.parametrize("said", ["", "not JSON", "{}", '[{"name": "dev"}]'])
def test_an_answer_that_cannot_be_read_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """PLAT-33: where and what was answered, not a traceback."""
    monkeypatch.setattr(repository, "command", lambda *_: said)
    with pytest.raises(repository.RepositoryFailed, match=r"ops1: pgbackrest info answered what Keel cannot read"):
        repository.stanza(hosts(tmp_path))
