"""The lease of a dead host ends on request: what refuses it, and what is asked of etcd."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from environment.errors import Refused
from environment.waiting import NotReached
from ops.cluster import fenced
from ops.hosts.session import Unreachable
from tests.unit.hosts import ANY, Clock, Hosts, hosts

GONE = subprocess.CalledProcessError(1, "bash")
KEY = "/keel/dev/leader"


@pytest.fixture
def dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """db1 held the lease, and its container has ended."""
    monkeypatch.setattr(fenced, "docker", lambda *_: "exited")
    session = hosts(tmp_path)
    session.says["db1", ""] = Unreachable("db1")
    session.says[ANY, "/dev/tcp/"] = GONE
    session.says[ANY, f"get --print-value-only {KEY}"] = "db1\n"
    session.says[ANY, " txn"] = "SUCCESS\n\n1\n"
    return session


def cluster(leader: str) -> str:
    return json.dumps({"members": [{"name": leader, "role": "leader", "state": "running"}]})


def test_the_lease_ends_and_another_leads(dead: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """JEEX-31: the host that shows no sign of life is waited for no longer. The key is compared and removed in one step."""
    Clock(monkeypatch)
    given: list[str] = []

    def etcdctl(_session: object, command: str, text: str = "") -> str:
        given.append(text)
        return "SUCCESS" if command == "txn" else "db1\n"

    monkeypatch.setattr(fenced, "_etcdctl", etcdctl)
    dead.says["db2", "/cluster"] = [cluster("db1"), cluster("db2")]
    assert fenced.carry_out(dead, fenced.check(dead, "db1"), lambda _: None) == "db2"
    assert given[-1] == f'value("{KEY}") = "db1"\n\ndel {KEY}\n\n\n'


@pytest.mark.parametrize("state", ["running", "paused", "restarting"])
def test_a_container_that_may_go_on_is_not_dead(dead: Hosts, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never two primaries: a frozen one wakes up as one."""
    monkeypatch.setattr(fenced, "docker", lambda *_: state)
    with pytest.raises(
        Refused, match=rf"^db1 is not dead: Docker says that its container is {state}. Nothing was changed"
    ):
        fenced.check(dead, "db1")


@pytest.mark.parametrize(
    ("where", "what", "sign"),
    [
        ("db1", "", "it answers by SSH"),
        ("db2", "/dev/tcp/10.88.0.11/5432", "its PostgreSQL answers db2"),
        ("db2", "/dev/tcp/10.88.0.11/8008", "its Patroni answers db2"),
    ],
)
def test_whoever_answers_is_not_dead(dead: Hosts, where: str, what: str, sign: str) -> None:
    """The controller alone may not reach it."""
    before = dict(dead.says)
    dead.says.clear()
    dead.says.update({(where, what): "", **before} if what else {**before, (where, what): ""})
    with pytest.raises(Refused, match=rf"^db1 is not dead: {sign}. Nothing was changed"):
        fenced.check(dead, "db1")


@pytest.mark.parametrize(("holder", "says"), [("db2\n", "db2 does"), ("\n", "no server does")])
def test_another_lease_is_left_alone(dead: Hosts, holder: str, says: str) -> None:
    dead.says[ANY, f"get --print-value-only {KEY}"] = holder
    with pytest.raises(Refused, match=rf"^db1 does not hold the lease: {says}"):
        fenced.check(dead, "db1")


def test_a_lease_that_went_over_meanwhile_is_left_alone(dead: Hosts) -> None:
    host = fenced.check(dead, "db1")
    dead.says[ANY, " txn"] = "FAILURE\n"
    with pytest.raises(Refused, match=r"^db1 no longer holds the lease"):
        fenced.carry_out(dead, host, lambda _: None)


def test_without_etcd_none_can_take_over(dead: Hosts) -> None:
    answers: Any = {("db1", ""): Unreachable("db1"), (ANY, "/dev/tcp/"): GONE, (ANY, "etcdctl"): GONE}
    dead.says.clear()
    dead.says.update(answers)
    with pytest.raises(Refused, match=r"^etcd does not answer, so no server can take over"):
        fenced.check(dead, "db1")


def test_a_host_without_a_database_has_no_lease(dead: Hosts) -> None:
    with pytest.raises(Refused, match=r"^edge1 is no database host; there are db1, db2"):
        fenced.check(dead, "edge1")


def test_it_does_not_wait_for_ever(dead: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    host = fenced.check(dead, "db1")
    dead.says["db2", "/cluster"] = cluster("db1")
    with pytest.raises(NotReached, match="waited 60 s for another server to lead"):
        fenced.carry_out(dead, host, lambda _: None)
    assert clock.now >= 60
