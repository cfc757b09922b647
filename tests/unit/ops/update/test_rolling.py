"""An update of packages: what refuses it, in which order hosts come, and what each is given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from environment.errors import Refused
from environment.report import Report
from ops.cluster import switchover
from ops.cluster.switchover import Move
from ops.converge import client
from ops.hosts import lock
from ops.hosts.session import Session
from ops.status.facts import Facts
from ops.update import rolling
from ops.update.rolling import NotWell, Update, carry_out, effects, plan
from roles.postgres.patroni import Member
from roles.postgres.switchover import HOLD, STAYS
from tests.unit.cli_fakes import LEADER, SYNC_STANDBY, facts
from tests.unit.hosts import ANY, Clock, Hosts, hosts, nothing

PATRONI = {"packages": {"patroni": ["4.1-1", "4.1-2"]}, "restarts": {"patroni.service": ["patroni"]}}
PROXY = {"packages": {"haproxy": ["3.2-1", "3.2-2"]}, "restarts": {"haproxy.service": ["haproxy"]}}
NOTHING: dict[str, dict[str, list[str]]] = {"packages": {}, "restarts": {}}
LEADS = {LEADER.name: True, SYNC_STANDBY.name: False}


def cluster(*members: Member) -> str:
    return json.dumps({"members": [asdict(member) for member in members]})


@pytest.fixture
def well(monkeypatch: pytest.MonkeyPatch) -> list[Facts]:
    """What is found of the environment, one after the other; the last for ever."""
    found = [facts()]
    monkeypatch.setattr(rolling, "collect", lambda _: found.pop(0) if len(found) > 1 else found[0])
    return found


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which locks, switchovers and converges there were."""
    seen: list[str] = []

    @contextmanager
    def held(_session: Session, names: Sequence[str]) -> Iterator[None]:
        seen.append(f"locks {' '.join(names)}")
        yield
        seen.append("unlocks")

    def moves(_session: Session, move: Move, _report: Report) -> dict[str, float]:
        seen.append(f"moves to {move.candidate}")
        return {}

    monkeypatch.setattr(lock, "held", held)
    monkeypatch.setattr(lock, "refuse_others", lambda _: seen.append("asks for the lock"))
    monkeypatch.setattr(switchover, "plan", lambda _: Move("db1", "db2"))
    monkeypatch.setattr(switchover, "carry_out", moves)
    monkeypatch.setattr(client, "run", lambda *_, hosts, dry: seen.append(f"converges {' '.join(hosts)} {dry}"))
    return seen


@pytest.fixture
def session(tmp_path: Path) -> Hosts:
    """Dev's hosts: the servers and the edge have newer packages, the last host has none."""
    made = hosts(tmp_path)
    made.says[ANY, "/cluster"] = cluster(LEADER, SYNC_STANDBY)
    made.says[ANY, rolling.REFRESH] = ""
    for name, found in (("db1", PATRONI), ("db2", PATRONI), ("edge1", PROXY), ("ops1", NOTHING)):
        made.says[name, "python3 -IB - "] = json.dumps(found)
    made.says["db1", "/primary"] = ""
    made.says[ANY, ""] = ""
    return made


@pytest.mark.usefixtures("well", "done")
def test_replicas_come_first_and_servers_before_the_rest(session: Hosts) -> None:
    """And only the one that leads gives up its part."""
    found = plan(session, (), nothing)
    assert [(update.host, update.moves) for update in found] == [("db2", False), ("db1", True), ("edge1", False)]
    assert [update.host for update in plan(session, ["edge1", "db1", "ops1"], nothing)] == ["db1", "edge1"]


@pytest.mark.usefixtures("well")
def test_a_restart_of_the_pooler_ends_no_connection(session: Hosts) -> None:
    """JEEX-32: what clients meet is said as it is."""
    update = Update("edge1", {}, {"pgbouncer.service": ["pgbouncer"]}, leads=False)
    assert list(effects(session, update)) == [
        "PgBouncer restarts (pgbouncer): its clients keep their connections, 75 minutes at the most; new ones wait for a moment"
    ]


@pytest.mark.usefixtures("well", "done")
def test_a_single_server_has_nowhere_to_move_to(session: Hosts) -> None:
    session.says[ANY, "/cluster"] = cluster(LEADER)
    (_, update) = plan(session, ["db1", "db2"], nothing)
    assert not update.moves
    assert list(effects(session, update)) == [
        "patroni 4.1-1 becomes 4.1-2",
        "PostgreSQL restarts (patroni): no other server can take over, so clients meet an error",
    ]


def test_what_is_not_well_is_not_updated(session: Hosts, well: list[Facts], done: list[str]) -> None:
    """Nor is an unknown host, and both before a host fetches anything."""
    well[:] = [facts(etcd={"db1": True, "db2": False, "edge1": True})]
    with pytest.raises(Refused, match=r"dev is not well: db2: etcd does not answer\. Nothing was changed"):
        plan(session, (), nothing)
    with pytest.raises(Refused, match="there is no host db9; there are db1, db2, edge1, ops1"):
        plan(session, ["db9"], nothing)
    assert done == ["asks for the lock"] and session.asked("apt-get") == []


@pytest.mark.usefixtures("well")
def test_exactly_what_was_shown_is_installed_and_the_primary_moves_first(session: Hosts, done: list[str]) -> None:
    """The lock is given back before the roles are carried out, which take it themselves."""
    carry_out(session, [Update("db1", **PATRONI, leads=True)], nothing)
    assert done == ["locks db1 db2 edge1 ops1", "moves to db2", "unlocks", "converges db1 False"]
    (install,) = [each.command for each in session.ran if "systemd-run" in each.command]
    assert "install --only-upgrade patroni=4.1-2\n" in install
    (restart,) = [each for each in session.ran if "systemctl restart" in each.command]
    assert restart.host == "db1" and "until" in restart.command


@pytest.mark.usefixtures("well", "done")
def test_the_proxy_restarts_while_clients_are_held(session: Hosts) -> None:
    """They go on once it knows who leads."""
    others = dict(session.says)
    session.says.clear()
    session.says.update({("edge1", HOLD): "held"} | others)
    carry_out(session, [Update("edge1", **PROXY, leads=False)], nothing)
    marks = {HOLD: "hold", "restart haproxy": "restart", STAYS: "end"}
    given = [mark for each in session.ran for part, mark in marks.items() if part in each.command]
    assert given == ["hold", "restart", "end"]
    assert "!= {'db1'}" in next(each.command for each in session.ran if "restart haproxy" in each.command)


@pytest.mark.usefixtures("done")
def test_the_next_host_is_left_alone_while_one_is_not_well(
    session: Hosts, well: list[Facts], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, with what is wrong."""
    Clock(monkeypatch)
    well[:] = [facts(paused=True)]
    updates = [Update(name, **PATRONI, leads=False) for name in ("db2", "db1")]
    with pytest.raises(NotWell, match=r"the environment to be well with db2: .*paused"):
        carry_out(session, updates, nothing)
    assert [host for host, _ in session.asked("systemd-run")] == ["db2"]


@pytest.mark.usefixtures("well", "done")
def test_what_was_interrupted_restarts_though_nothing_is_newer(session: Hosts) -> None:
    """Its packages were installed, its services run what was replaced."""
    session.says["db2", "python3 -IB - "] = json.dumps(
        NOTHING | {"restarts": {"etcd.service": ["files that were replaced"]}}
    )
    (update,) = plan(session, ["db2"], nothing)
    carry_out(session, [update], nothing)
    assert session.asked("systemd-run") == []
    assert [host for host, _ in session.asked("systemctl restart etcd.service")] == ["db2"]
