"""Before a host goes: what refuses it, and who leads then."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from environment.errors import Refused
from environment.types import Group
from ops.hosts.session import Unreachable
from ops.steps import drain
from roles import paths
from roles.postgres import switchover
from roles.postgres.patroni import Member
from roles.postgres.switchover import OpenTransactions
from tests.unit.cli_fakes import LEADER, SYNC_STANDBY
from tests.unit.hosts import ANY, Clock, Hosts, hosts

MEMBERS = "".join(
    f"{number}, started, {name}, https://10.88.0.{number}:2380, https://10.88.0.{number}:2379, false\n"
    for name, number in (("db1", 11), ("db2", 12), ("edge1", 21))
)
ILL = subprocess.CalledProcessError(1, "etcdctl")
SECOND_LEADS = (replace(LEADER, name="db2"), replace(SYNC_STANDBY, name="db1"))


def cluster(*members: Member) -> str:
    """What Patroni tells of these."""
    return json.dumps({"members": [asdict(member) for member in members]})


def dev(folder: Path, etcd: Mapping[str, bool], patch: Mapping[str, Any] | None = None) -> Hosts:
    """Hosts that answer, whose etcd members are well or not."""
    session = hosts(folder, patch)
    session.says[ANY, "true"] = ""
    for host, well in etcd.items():
        session.says[host, "endpoint health"] = "" if well else ILL
    session.says[ANY, "member list"] = MEMBERS
    return session


@pytest.mark.parametrize(
    ("etcd", "unwell"),
    [
        ((True, True, True), ""),
        ((False, True, True), ""),  # the one that goes is the one that is ill
        ((True, False, True), "db2"),
        ((True, True, False), "edge1"),
        ((True, False, False), "db2, edge1"),
        ((False, False, True), "db2"),
        ((False, False, False), ""),  # it has never run here: nothing can get worse
    ],
)
def test_an_unwell_etcd_member_stops_a_replacement(tmp_path: Path, etcd: tuple[bool, ...], unwell: str) -> None:
    """Two of three away would be the end of the majority."""
    session = dev(tmp_path, dict(zip(("db1", "db2", "edge1"), etcd, strict=True)))
    session.says[ANY, "/cluster"] = cluster()
    if not unwell:
        assert drain.apply(session, {"host": "db1"}, pytest.fail) == {}
        return
    with pytest.raises(Refused, match=rf"db1 cannot be stopped now: etcd member\(s\) {unwell} do not answer"):
        drain.apply(session, {"host": "db1"}, pytest.fail)


def test_only_what_the_host_carries_is_asked(tmp_path: Path) -> None:
    """edge1 has etcd and no server, ops1 neither; a host that is not there yet is asked nothing."""
    session = dev(tmp_path, dict.fromkeys(("db1", "db2", "edge1"), True))
    drain.apply(session, {"host": "edge1"}, pytest.fail)
    assert len(session.asked("endpoint health")) == 3
    session.ran.clear()
    drain.apply(session, {"host": "ops1"}, pytest.fail)
    assert session.ran == [("ops1", "true", 15)]
    session.ran.clear()
    session.says[ANY, "true"] = Unreachable("db1")
    assert drain.apply(session, {"host": "db1"}, pytest.fail) == {}
    assert session.ran == [("db1", "true", 15)]


@pytest.mark.parametrize(
    ("members", "refused"),
    [
        ((), ""),
        ((LEADER,), ""),  # a single server has nowhere to move to
        (SECOND_LEADS, ""),  # it does not lead
        ((LEADER, replace(SYNC_STANDBY, state="starting")), "PostgreSQL on db2 is not running or streaming"),
        ((replace(SECOND_LEADS[0], state="crashed"), SECOND_LEADS[1]), "PostgreSQL on db2 is not"),
        ((replace(SECOND_LEADS[0]), replace(SECOND_LEADS[1], state="stopped")), ""),  # the one that goes
    ],
)
def test_where_nothing_moves(tmp_path: Path, members: tuple[Member, ...], refused: str) -> None:
    session = dev(tmp_path, {})
    session.says[ANY, "/cluster"] = cluster(*members)
    if not refused:
        drain._move_leader(session, "db1", pytest.fail)
        return
    with pytest.raises(Refused, match=f"^db1 cannot be stopped now: {refused}"):
        drain._move_leader(session, "db1", pytest.fail)


def moving(session: Hosts, *rounds: str, hold: Any = "held\n") -> None:
    """What a switchover from db1 asks of the hosts; the members in each round, and what an edge answers."""
    session.says["db1", "/switchover"] = "accepted"
    session.says["db1", switchover.CHECKPOINT] = ""
    session.says[ANY, f"systemctl restart {paths.HOLD_UNIT}"] = hold
    session.says[ANY, f"systemctl stop {paths.HOLD_UNIT}"] = ""
    session.says[ANY, f"is-active {paths.HOLD_UNIT}"] = '{"held": 1.25, "drained": true, "moved": true, "open": []}'
    session.says[ANY, "/cluster"] = list(rounds)


def order(session: Hosts) -> list[str]:
    """What was done, in order, without looks at the members."""
    parts = ("checkpoint", "systemctl restart", "/switchover", "systemctl stop", "is-active")
    return [part for ran in session.ran for part in parts if part in ran.command.replace("while systemctl", "")]


def test_the_leader_moves_to_the_synchronous_standby(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-37: while the pooler's clients wait. The step ends when that one leads; one that has just come back is awaited."""
    clock, told = Clock(monkeypatch), list[str]()
    session = dev(tmp_path, dict.fromkeys(("db1", "db2", "edge1"), True))
    before, back = cluster(LEADER, replace(SYNC_STANDBY, role="replica")), cluster(LEADER, SYNC_STANDBY)
    moving(session, before, before, before, back, back, cluster(*SECOND_LEADS))
    assert drain.apply(session, {"host": "db1"}, told.append) == {}
    assert told == ["switchover from db1 to db2: checkpoint", "switchover from db1 to db2"]
    ((_, posted, _),) = [ran for ran in session.ran if "/switchover" in ran.command]
    assert """-d '{"candidate": "db2", "leader": "db1"}'""" in posted
    assert order(session) == ["checkpoint", "systemctl restart", "/switchover", "is-active"]
    assert clock.waits == [0.3, 0.3]


def test_a_leader_that_gets_another_address_is_asked_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-37, X-23: until it is replaced it has the old one, and the others have theirs."""
    then = dev(tmp_path, dict.fromkeys(("db1", "db2", "edge1"), True))
    then.says[ANY, "/cluster"] = cluster(LEADER, SYNC_STANDBY)
    db1 = then.manifest.host("db1")
    old = then.manifest.model_dump(mode="json")
    moved = db1.model_copy(
        update={"address": ip_address("10.88.0.15"), "ssh": db1.ssh.model_copy(update={"port": 2215})}
    )
    now = replace(then, manifest=then.manifest.model_copy(update={"hosts": (moved, *then.manifest.hosts[1:])}))
    asked: list[Any] = []

    @contextmanager
    def opened(manifest: Any, _roots: object) -> Iterator[Hosts]:
        asked.append(manifest)
        session = dev(tmp_path, dict.fromkeys(("db1", "db2", "edge1"), True))
        session.says[ANY, "/cluster"] = cluster(*SECOND_LEADS)
        yield session

    monkeypatch.setattr(drain, "open_session", opened)
    drain.apply(now, {"host": "db1", "before": old}, pytest.fail)
    (manifest,) = asked
    assert (manifest.host("db1").address, manifest.host("db1").ssh) == (db1.address, db1.ssh)
    drain.apply(now, {"host": "db2", "before": old}, pytest.fail)
    assert len(asked) == 1, "db2 is where it was"


def test_without_a_synchronous_standby_the_leader_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a sentence, after half a minute."""
    clock, session = Clock(monkeypatch), dev(tmp_path, {})
    session.says[ANY, "/cluster"] = cluster(LEADER, replace(SYNC_STANDBY, role="replica"))
    with pytest.raises(
        Refused,
        match=r"stays on db1: waited 30 s for a synchronous replica .*db2 \(replica, streaming\). Nothing was changed",
    ):
        drain._move_leader(session, "db1", pytest.fail)
    assert (clock.now, set(clock.waits)) == (30, {0.3})


def test_a_transaction_that_stays_open_keeps_the_leader(tmp_path: Path) -> None:
    """Before anything moves; it is named by what the operator can find it by, and never by its statement."""
    session = dev(tmp_path, {})
    moving(session, hold='{"held": 2.01, "drained": false, "moved": false, "open": [4711]}')
    session.says[ANY, "/cluster"] = cluster(LEADER, SYNC_STANDBY)
    who = "pid 4711 (ruleiq_user in ruleiq from report - 10.88.0.1:4242, idle in transaction for 31 s)"
    session.says["db1", "from pg_stat_activity"] = f"{who}\n"
    with pytest.raises(OpenTransactions) as refused:
        drain._move_leader(session, "db1", lambda _: None)
    assert str(refused.value).startswith(
        f"the primary stays on db1: transactions did not end within 2 s: {who}. Nothing was changed. "
    )
    assert order(session) == ["checkpoint", "systemctl restart"], "it never moved"
    ((question, _),) = [(ran.command, ran.host) for ran in session.ran if "pg_stat_activity" in ran.command]
    assert "pid in (4711)" in question and "query" not in question


@pytest.mark.parametrize("answer", [Unreachable("edge1 cannot be reached"), "absent", "PgBouncer did not answer"])
def test_an_edge_that_holds_no_client_is_named(tmp_path: Path, answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead one keeps no primary where it is, nor does one of an earlier release."""
    Clock(monkeypatch)
    session, told = dev(tmp_path, {}), list[str]()
    before = cluster(LEADER, SYNC_STANDBY)
    moving(session, before, before, before, cluster(*SECOND_LEADS), hold=answer)
    drain._move_leader(session, "db1", told.append)
    assert told[-1] == f"edge1: its clients are not held: {answer}"
    assert order(session) == ["checkpoint", "systemctl restart", "/switchover"], "and none is let go"


def test_a_switchover_that_fails_leaves_the_host_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether Patroni refuses it, or none leads then; its words are in the sentence, and clients go on at once. Without
    synchronous replication any replica that streams will do."""
    clock = Clock(monkeypatch)
    session = dev(tmp_path, {}, {"postgres.synchronous": False})
    moving(session)
    session.says["db1", "/switchover"] = "Switchover failed: no good candidates"
    session.says[ANY, "/cluster"] = cluster(LEADER, replace(SYNC_STANDBY, role="replica"))
    failed = r"to db2 did not succeed: .*Switchover failed: no good.* db1 was left running"
    with pytest.raises(Refused, match=failed):
        drain._move_leader(session, "db1", lambda _: None)
    assert (clock.now, set(clock.waits)) == (60, {0.3})
    assert order(session)[-1] == "systemctl stop"
    session.says["db1", "/switchover"] = subprocess.CalledProcessError(22, "curl", output="Switchover failed: no good")
    with pytest.raises(Refused, match=failed):
        drain._move_leader(session, "db1", lambda _: None)
    assert clock.now == 60 and order(session)[-1] == "systemctl stop"


def test_the_first_replica_that_is_up_to_date_takes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is synchronous. Both edges hold."""
    others = [replace(SYNC_STANDBY, name=name, role="replica") for name in ("db2", "db3")]
    session = hosts(tmp_path, {"postgres.synchronous": False, "environment.kind": "dev"}, "production")
    before = cluster(LEADER, *others)
    moving(session, before, before, before, cluster(replace(others[0], role="leader")))
    drain._move_leader(session, "db1", lambda _: None)
    ((_, posted, _),) = [ran for ran in session.ran if "/switchover" in ran.command]
    assert '"candidate": "db2"' in posted
    assert {host for host, _ in session.asked("systemctl restart")} == {"edge1", "edge2"}


def test_devs_etcd_has_three_members(tmp_path: Path) -> None:
    """What the tests above suppose."""
    assert [host.name for host in hosts(tmp_path).manifest.carrying(Group.ETCD)] == ["db1", "db2", "edge1"]
