"""A restore of the whole cluster: what refuses it, its order of events, what it waits for and where it stops."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from environment.errors import Refused
from environment.recovery import target
from ops.backup import awaited, jobs, repository, restore
from ops.hosts import lock
from ops.hosts.session import Unreachable
from ops.products import databases
from roles import paths
from tests.unit.cli_fakes import LEADER, SYNC_STANDBY
from tests.unit.hosts import ANY, NO_PRIMARY, Clock, Database, Hosts, hosts, led_by, nothing
from tests.unit.ops.steps.test_drain import ILL, cluster

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
WANTED = restore.Plan(target("latest"), "20261122-020000F", 2, 200 * 2**20, NOON, NOON, "nothing", "3")
DATA = "/var/lib/postgresql/18/main"


@pytest.mark.parametrize(
    ("etcd", "refused"),
    [
        ((True, True, True), ""),
        ((True, True, False), ""),
        ((True, False, False), "db2, edge1"),
        ((False, False, False), "db1, db2, edge1"),
    ],
)
def test_without_a_majority_of_etcd_nothing_is_stopped(tmp_path: Path, etcd: tuple[bool, ...], refused: str) -> None:
    """PLAT-34: Patroni could not make a cluster of what was restored."""
    session = hosts(tmp_path)
    session.says[ANY, "pgbackrest version"] = ""
    for host, well in zip(("db1", "db2", "edge1"), etcd, strict=True):
        session.says[host, "endpoint health"] = "" if well else ILL
    if not refused:
        restore._check_hosts(session, ["db1", "db2"])
        return
    with pytest.raises(Refused, match=f"^etcd has no majority: {refused} do not answer. Nothing was changed"):
        restore.apply(session, WANTED, pytest.fail)


def test_a_half_of_etcd_is_no_majority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = hosts(tmp_path)
    session.says[ANY, "pgbackrest version"] = ""
    monkeypatch.setattr("ops.cluster.etcd.health", lambda _: {"a": True, "b": True, "c": False, "d": False})
    with pytest.raises(Refused, match="c, d do not answer"):
        restore._check_hosts(session, ["db1", "db2"])


def test_a_database_host_that_cannot_be_reached_stops_nothing(tmp_path: Path) -> None:
    """PLAT-34: it would come back with what is to be gone."""
    session = hosts(tmp_path)
    session.says.update({("db1", "pgbackrest version"): "", ("db2", "pgbackrest version"): Unreachable("db2")})
    with pytest.raises(Unreachable, match="db2"):
        restore.apply(session, WANTED, pytest.fail)
    assert {ran.command for ran in session.ran} == {"pgbackrest version >/dev/null"}


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a restore did, in its order; its parts that have tests of their own are only noted."""
    done: list[Any] = []

    def noted(name: str) -> Callable[..., None]:
        return lambda _, *rest, **how: done.append((name, *(one for one in rest if one is not nothing), *how.values()))

    for name in ("archive_all", "order", "everywhere", "follow", "_forget_recovery", "await_replicas"):
        monkeypatch.setattr(restore, name, noted(name))
    monkeypatch.setattr(databases, "provide", noted("databases"))
    monkeypatch.setattr(jobs, "run", noted("backup"))
    monkeypatch.setattr(restore, "datetime", SimpleNamespace(now=lambda _zone: NOON))
    return done


class Noting(list[Any]):
    """The commands that are given, among the events; who leads is asked again and again."""

    def __init__(self, events: list[Any]) -> None:
        super().__init__()
        self.events = events

    def append(self, ran: Any) -> None:
        if "/primary" not in ran.command:
            self.events.append(tuple(ran))


def restoring(folder: Path, events: list[Any], leader: str | None, patch: dict[str, Any] | None = None) -> Hosts:
    """Hosts that do what a restore asks for."""
    session = hosts(folder, patch, ran=Noting(events))
    led_by(session, leader)
    session.says.update({(ANY, "echo "): "", (ANY, "date +%s"): "1700\n", (ANY, "systemctl"): "", (ANY, "rm -"): ""})
    return session


@pytest.mark.parametrize(("leader", "restored", "other"), [("db2", "db2", "db1"), (None, "db1", "db2")])
def test_a_restore_is_carried_out_in_this_order(
    tmp_path: Path, events: list[Any], leader: str | None, restored: str, other: str
) -> None:
    """PLAT-34: what it is about is written down before anything stops, and taken away when a new backup is there. The primary
    is restored, or the first member; the order is taken from all before an accident can carry it out again."""
    wanted = WANTED if leader else replace(WANTED, newest=None)
    restore._carry_out(restoring(tmp_path, events, leader), ["db1", "db2"], wanted, nothing)
    token = "restore-20261122t120000z"
    content = {"end": str(WANTED.end), "backup": WANTED.label, "timeline": "3", "token": token}
    left = f"{DATA}.failed {DATA}{paths.RESTORING}"
    assert events == [
        *([("archive_all",)] if leader else []),  # without a primary nobody could
        ("ops1", f"echo '{json.dumps(content)}' > {restore.INTENTION}", 60),
        (restored, "date +%s", 60),
        ("order", token, WANTED.end, ("--repo=2", "--set=20261122-020000F", "--target-timeline=3"), True),
        (restored, "systemctl reset-failed patroni.service; systemctl start patroni.service", 180),
        ("follow", restored, wanted.bytes, "1700"),
        ("everywhere", ["db1", "db2"], f"rm -f {paths.RECOVERY_ORDER}"),
        ("_forget_recovery", restored),
        ("archive_all",),
        ("everywhere", [other], f"rm -rf {DATA} {left}; systemctl start patroni.service", 3600),
        ("await_replicas", 2),
        (restored, f"rm -rf {left}", 3600),
        ("databases",),
        ("backup", jobs.Job.FULL),
        ("ops1", f"rm -f {restore.INTENTION}", 60),
    ]


def test_a_single_server_has_no_replicas_to_make(tmp_path: Path, events: list[Any]) -> None:
    restore._carry_out(restoring(tmp_path, events, "db1"), ["db1"], WANTED, nothing)
    names = [event[0] for event in events]
    assert "await_replicas" not in names and names.count("everywhere") == 1


def test_a_delayed_member_is_not_the_first(tmp_path: Path, events: list[Any]) -> None:
    """It may not lead."""
    patch = {"postgres.synchronous": False, "postgres.apply_delay": {"db1": 60}}
    restore._carry_out(restoring(tmp_path, events, None, patch), ["db1", "db2"], WANTED, nothing)
    assert ("_forget_recovery", "db2") in events


def test_the_newest_timeline_is_written_down_by_its_number(
    tmp_path: Path, events: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-34: after an interruption another one may be the newest."""
    monkeypatch.setattr(repository, "stanza", lambda _: "held")
    monkeypatch.setattr(repository, "newest_timeline", lambda _, held: 7 if held == "held" else 0)
    session = restoring(tmp_path, events, "db1")
    assert restore._begin(session, replace(WANTED, timeline="latest")) == "restore-20261122t120000z"
    assert '"timeline": "7"' in events[0][1]


def test_what_was_interrupted_is_read_back(tmp_path: Path) -> None:
    session = hosts(tmp_path)
    session.says["ops1", restore.INTENTION] = ["", '{"end": "latest", "timeline": "4"}', "", '{"timeline": "4"}']
    assert restore.interrupted(session) is None
    assert restore.interrupted(session) == {"end": "latest", "timeline": "4"}
    assert restore._interrupted_on(session) == "latest"
    assert restore._interrupted_on(session) == "4"


def test_other_controllers_are_kept_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-34: members and the repository's host, and not before they were looked at."""
    done: list[Any] = []

    @contextmanager
    def held(_session: Hosts, names: Iterable[str]) -> Iterator[None]:
        done.append([*names])
        yield
        done.append("free")

    monkeypatch.setattr(lock, "held", held)
    monkeypatch.setattr(restore, "_check_hosts", lambda *_: done.append("looked"))
    monkeypatch.setattr(restore, "_carry_out", lambda *_: done.append("done"))
    restore.apply(hosts(tmp_path), WANTED, nothing)
    assert done == ["looked", ["db1", "db2", "ops1"], "done", "free"]


@pytest.fixture
def server() -> Database:
    """The primary's."""
    return Database()


def test_all_wal_is_awaited_two_minutes(tmp_path: Path, server: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-34: what is not in the repository is not restored."""
    clock = Clock(monkeypatch)
    server.rows.update(
        {
            "pg_switch_wal": [("0000000300000007",)],
            "last_failed_wal": [("0000000300000006", "0000000300000007", NOON)],
            "pg_stat_archiver": iter([[], [(None,)], [(False,)], [(True,)]]),
        }
    )
    restore.archive_all(hosts(tmp_path, server=server))
    assert clock.waits == [0.3, 0.3, 0.3]
    assert server.executed[-1] == (
        "postgres", "select last_archived_wal >= %s from pg_stat_archiver", ["0000000300000007"],
    )  # fmt: skip
    server.rows["pg_stat_archiver"] = [(False,)]
    silent = hosts(tmp_path, server=server)
    led_by(silent, "db1")
    silent.says["db1", "tail -qn 300"] = "ERROR: [082]: unable to push"
    with pytest.raises(
        awaited.RestoreFailed,
        match=r"^waited 120 s for 0000000300000007 to be archived:\n    archived last: 0000000300000006, failed last for .*07 at .*\n    ERROR: .082.",
    ):
        restore.archive_all(silent)
    assert clock.now == pytest.approx(120.9, abs=0.3)


def test_the_newest_commit_is_one_of_its_own(tmp_path: Path, server: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    server.rows["pg_current_xact_id"] = [(742, NOON)]
    session = hosts(tmp_path, server=server)
    assert restore.newest_commit(session) == NOON
    assert server.executed[-1][1] == "commit"

    def superuser(_: Hosts) -> None:
        raise Unreachable("no primary")

    monkeypatch.setattr(Hosts, "superuser", superuser)
    assert restore.newest_commit(session) is None


@pytest.mark.parametrize("to", ["0/3000148", "742"])
def test_what_was_not_reached_yet_is_refused(tmp_path: Path, server: Database, to: str) -> None:
    """PLAT-34: a position and a transaction are compared by the primary, other targets not at all."""
    end = target(to)
    server.rows["pg_current_"] = iter([[(True, "9")], [(False, "0/9")], []])
    session = hosts(tmp_path, server=server)
    restore._check_reached(session, end)
    assert server.executed[0][2] == [to]
    with pytest.raises(Refused, match=r"was not reached yet: the cluster is at 0/9. Nothing was changed"):
        restore._check_reached(session, end)
    asked = len(server.executed)
    for other in ("latest", "2026-11-22T08:15:00Z", "a-name"):
        restore._check_reached(session, target(other))
    assert len(server.executed) == asked


@pytest.mark.parametrize(
    ("to", "newest", "lost"),
    [
        ("latest", None, "no primary answers: what was not archived when it ended is lost in any case"),
        ("742", NOON, "everything committed after xid 742"),
    ],
)
def test_what_is_lost_without_a_time(to: str, newest: datetime | None, lost: str) -> None:
    assert restore._lost(target(to), newest) == lost


def test_an_hour_is_told_by_the_clusters_size() -> None:
    """50 MiB/s, and half a minute."""
    assert WANTED.seconds == 34
    assert replace(WANTED, bytes=0).seconds == 30


def test_a_restore_is_followed_until_the_host_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-34: whatever does not answer on the way is asked again; it does not end before the server runs and leads."""
    clock, told, session = Clock(monkeypatch), list[str](), hosts(tmp_path)
    session.says.update({
        ("db1", ":8008/patroni"): [
            Unreachable("db1"), subprocess.TimeoutExpired("curl", 70), "<html>", "{}", '{"state": "creating replica"}',
            '{"state": "running"}', '{"state": "running"}', '{"state": "starting"}', '{"state": "running"}',
        ],
        ("db1", "du -sm"): ["", "50\n", "200", "201", "202", "203"],
        ("db1", "Failed to bootstrap"): "",
        ("db1", "/primary"): [NO_PRIMARY, NO_PRIMARY, ""],
        ("db2", "/primary"): [NO_PRIMARY, ""],
    })  # fmt: skip
    awaited.follow(session, "db1", WANTED.bytes, "1700", told.append)
    assert clock.waits == [1] * 8
    assert told == [
        "db1: starting, 0 of 200 MiB",
        "db1: creating replica, 50 of 200 MiB",
        "db1: running, 200 of 200 MiB",
        "db1: running, 201 of 200 MiB",
        "db1: starting, 202 of 200 MiB",
    ]
    assert session.asked("journalctl -u patroni.service --since @1700 ")


def test_a_bootstrap_that_failed_is_not_tried_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-34: Patroni is stopped, the order taken away, and its last words are told."""
    Clock(monkeypatch)
    session = hosts(tmp_path)
    session.says.update({
        ("db1", ":8008/patroni"): '{"state": "stopped"}', ("db1", "du -sm"): "1", ("db1", "Failed to bootstrap"): "Failed",
        ("db1", "tail -30"): "requested timeline 9 does not exist", ("db1", "systemctl stop"): "",
    })  # fmt: skip
    with pytest.raises(
        awaited.RestoreFailed, match=r"db1: the restore failed\nrequested timeline 9 .*\nRun it again when"
    ):
        awaited.follow(session, "db1", WANTED.bytes, "1700", nothing)
    assert session.ran[-1] == ("db1", f"systemctl stop patroni.service; rm -f {paths.RECOVERY_ORDER}", 900)


def test_where_the_recovery_ended_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server starts once more without it, and leads again within five minutes."""
    clock, session = Clock(monkeypatch), hosts(tmp_path)
    session.says.update({("db1", "psql"): "", ("db1", "/restart"): "", ("db1", "/primary"): [NO_PRIMARY, NO_PRIMARY, ""],
                         ("db2", "/primary"): NO_PRIMARY})  # fmt: skip
    restore._forget_recovery(session, "db1")
    assert [(command.partition("-Xqc ")[2], timeout) for _, command, timeout in session.ran[:2]] == [
        ("checkpoint", 3600),
        ("'alter system reset all'", 60),
    ]
    assert clock.waits == [0.5, 0.5]
    session.says.update(
        {("db1", "/primary"): NO_PRIMARY, (ANY, "/cluster"): cluster(LEADER), ("db1", "journalctl"): "no space left"}
    )
    with pytest.raises(
        awaited.RestoreFailed,
        match=r"^waited 300 s for db1 to become the primary again after a restart:\n    .*\n    no space left\nRemove the cause, then run the restore again",
    ):
        restore._forget_recovery(session, "db1")
    assert clock.now == 301


def test_a_restore_that_stands_still_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-34: half an hour after it moved last, be it days after its begin; with its own last words."""
    clock, session = Clock(monkeypatch), hosts(tmp_path)
    moving = [str(size) for size in range(1, 4001)]
    session.says.update({
        ("db1", ":8008/patroni"): '{"state": "creating replica"}', ("db1", "du -sm"): [*moving, *["4000"] * 2000],
        ("db1", "Failed to bootstrap"): "", (ANY, "/cluster"): cluster(replace(LEADER, state="creating replica")),
        ("db1", "journalctl -u patroni.service -u etcd"): "restore: waiting for the repository",
    })  # fmt: skip
    with pytest.raises(awaited.RestoreFailed) as failed:
        awaited.follow(session, "db1", WANTED.bytes, "1700", nothing)
    assert clock.now == 3999 + awaited.STILL
    assert failed.value.problem.splitlines() == [
        "waited 1800 s without progress for db1 to become the primary after its restore:",
        "    db1 (leader, creating replica)",
        "    restore: waiting for the repository",
    ]
    assert failed.value.advice == awaited.AGAIN


def test_replicas_that_stand_still_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the primary goes on is no progress of theirs."""
    clock, session = Clock(monkeypatch), hosts(tmp_path)
    away = replace(SYNC_STANDBY, state="creating replica")
    session.says.update({
        (ANY, "/cluster"): cluster(LEADER, away), ("db2", ":8008/patroni"): '{"state": "creating replica"}',
        ("db2", "du -sk"): [*map(str, range(100)), *["100"] * 2000], ("db2", "journalctl"): "no space left",
    })  # fmt: skip
    with pytest.raises(awaited.RestoreFailed, match=r"every replica to stream .*:\n    db2: .*\n    no space left"):
        awaited.await_replicas(session, 2, nothing)
    assert clock.now == 100 + awaited.STILL


def test_every_replica_is_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-34: on the primary's timeline, and streaming."""
    clock, told, session = Clock(monkeypatch), list[str](), hosts(tmp_path)
    session.says.update({(ANY, ":8008/patroni"): "{}", (ANY, "du -sk"): "1"})
    session.says[ANY, "/cluster"] = [
        cluster(LEADER),
        cluster(LEADER, replace(SYNC_STANDBY, state="creating replica")),
        cluster(LEADER, replace(SYNC_STANDBY, timeline=None)),
        cluster(LEADER, replace(SYNC_STANDBY, timeline=2)),
        cluster(LEADER, SYNC_STANDBY),
    ]
    awaited.await_replicas(session, 2, told.append)
    assert clock.waits == [1] * 4
    assert told[1] == "db1: running, db2: creating replica"
