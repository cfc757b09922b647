"""Who leaves: what refuses it, in which order it is taken out, and that the rest is left alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from environment.errors import Refused
from ops.cluster import patroni, switchover
from ops.cluster.switchover import Move
from ops.hosts import lock
from ops.hosts.session import Unreachable
from ops.steps import leave
from roles.postgres.patroni import Member
from tests.unit.cli_fakes import LEADER, SYNC_STANDBY
from tests.unit.hosts import ANY, Hosts, hosts, nothing

DB3 = {"hosts.db3": {"address": "10.88.0.13", "groups": ["postgres"]}, "postgres.replicas": 2}
THIRD = replace(SYNC_STANDBY, name="db3", role="replica")
MEMBERS = "".join(
    f"{number}, started, {name}, https://10.88.0.{number}:2380, https://10.88.0.{number}:2379, false\n"
    for name, number in (("db1", 11), ("db2", 12), ("edge1", 21))
)


def cluster(*members: Member) -> str:
    return json.dumps({"members": [asdict(member) for member in members]})


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The containers that the engine stopped."""
    done: list[str] = []
    monkeypatch.setattr(leave, "docker", lambda *words: done.append(" ".join(words)))
    return done


@pytest.fixture
def slots(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Whose slots were dropped."""
    done: list[list[str]] = []
    monkeypatch.setattr(patroni, "forget_slots", lambda _session, servers: done.append(list(servers)))
    return done


def before(folder: Path, patch: dict[str, Any], *members: Member) -> Hosts:
    """The hosts as they were, all well."""
    session = hosts(folder, patch)
    session.says[ANY, "endpoint health"] = ""
    session.says[ANY, "member list"] = MEMBERS
    session.says[ANY, "/cluster"] = cluster(*members)
    session.says[ANY, ""] = ""
    return session


def first(session: Hosts, answers: dict[tuple[str, str], Any]) -> None:
    """Let these answers come before the others."""
    rest = dict(session.says)
    session.says.clear()
    session.says.update(answers | rest)


def take_out(
    old: Hosts, new: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch, report: Any = nothing
) -> list[tuple[str, str]]:
    """What was done on which host, without what was only asked."""

    @contextmanager
    def opened(*_: object) -> Iterator[Hosts]:
        yield old

    locked: list[str] = []

    @contextmanager
    def held(session: Hosts, names: Iterable[str]) -> Iterator[None]:
        assert session is old and not old.ran, "another controller was not kept off from the beginning"
        locked.extend(names)
        yield

    monkeypatch.setattr(leave, "open_session", opened)
    monkeypatch.setattr(lock, "held", held)
    leave.apply(hosts(folder, new), {"before": old.manifest.model_dump(mode="json")}, report)
    staying = {host.name for host in old.manifest.hosts} & {host.name for host in hosts(folder, new).manifest.hosts}
    assert set(locked) == (staying if old.ran else set())
    return [
        (host, command) for host, command, _ in old.ran if not any(w in command for w in ("health", "list", "/cluster"))
    ]


def test_nobody_leaves_where_hosts_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert take_out(hosts(tmp_path), DB3, tmp_path, monkeypatch) == []


def test_a_replica_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: list[str], slots: list[list[str]]
) -> None:
    """PLAT-37: PostgreSQL, Patroni's key, the slot, the other services, the keys, the container; the others are left alone."""
    old = before(tmp_path, DB3, LEADER, SYNC_STANDBY, THIRD)
    done = take_out(old, {}, tmp_path, monkeypatch)
    assert done[0] == ("db3", "systemctl disable --now patroni.service")
    assert "del /keel/dev/members/db3" in done[1][1] and done[1][0] == "db1"
    assert [host for host, _ in done[2:]] == ["db3", "db3"]
    assert "patroni.service" in done[2][1] and "ssh.service" not in done[2][1]
    assert done[3] == ("db3", "rm -rf /etc/keel/tls")
    assert (slots, stopped) == ([["db3"]], ["stop keel-dev-db3"])


def test_the_leader_leaves_last_and_after_a_switchover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: list[str], slots: list[list[str]]
) -> None:
    """PLAT-37, JEEX-32: to one that stays."""
    leads = replace(LEADER, name="db3")
    old = before(tmp_path, DB3, replace(THIRD, name="db1"), replace(SYNC_STANDBY, name="db2"), leads)
    moved: list[tuple[Move, bool]] = []

    def carry_out(_: object, move: Move, _report: object) -> None:
        moved.append((move, any("systemctl" in command for _, command, _ in old.ran)))

    monkeypatch.setattr(switchover, "carry_out", carry_out)
    done = take_out(old, {}, tmp_path, monkeypatch)
    assert moved == [(Move("db3", "db2"), False)]
    assert done[0] == ("db3", "systemctl disable --now patroni.service")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (
            (replace(LEADER, name="db1"), replace(SYNC_STANDBY, state="starting"), THIRD),
            r"db2 \(.*starting\) is not well",
        ),
        ((SYNC_STANDBY, THIRD), "none has a primary"),
        ((replace(LEADER, name="db3"),), "none leads or can"),
    ],
)
def test_it_is_refused_where_the_rest_cannot_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: tuple[Member, ...], words: str
) -> None:
    """PLAT-37: before anything is changed."""
    old = before(tmp_path, DB3, *members)
    with pytest.raises(Refused, match=f"db3 cannot leave now.*{words}.*Nothing was changed"):
        take_out(old, {}, tmp_path, monkeypatch)
    assert not [command for _, command, _ in old.ran if "systemctl" in command or "del /keel" in command]


MOVES = {"hosts.edge1.groups": ["edge", "redis"], "hosts.ops1.groups": ["backup", "monitor", "etcd"]}


def test_an_etcd_member_leaves_a_host_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: list[str], slots: list[list[str]]
) -> None:
    """X-23: it is masked first, for one that was taken out ends, and would be started again; its data is worth nothing then."""
    done = take_out(before(tmp_path, {}), MOVES, tmp_path, monkeypatch)
    masked, removed, cleared, disabled = done
    assert masked == ("edge1", "systemctl mask etcd.service")
    assert removed[0] == "db1" and removed[1].endswith("member remove 21")
    assert cleared == ("edge1", "systemctl stop etcd.service; rm -rf /var/lib/etcd/*")
    assert disabled == ("edge1", "systemctl disable --now etcd.service 2>&1 || true")
    assert (stopped, slots) == ([], [])


@pytest.mark.parametrize(("ill", "refused"), [(("db2",), True), (("edge1",), False), (("db1", "edge1"), True)])
def test_etcd_keeps_its_majority_or_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ill: tuple[str, ...], refused: bool
) -> None:
    """X-23: before anything is changed. The one that leaves may be away itself."""
    old = before(tmp_path, {})
    first(old, {(host, "health"): subprocess.CalledProcessError(1, "etcdctl") for host in ill})
    if "edge1" in ill:
        first(old, {("edge1", "systemctl"): Unreachable("edge1")})
    if refused:
        with pytest.raises(Refused, match=rf"edge1 cannot leave now: etcd member\(s\) {', '.join(ill)} do not answer"):
            take_out(old, MOVES, tmp_path, monkeypatch)
        assert not [command for _, command, _ in old.ran if "systemctl" in command]
    else:
        assert any("member remove 21" in command for _, command in take_out(old, MOVES, tmp_path, monkeypatch))


def test_a_host_that_does_not_answer_has_stopped_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: list[str], slots: list[list[str]]
) -> None:
    """It is taken out all the same."""
    old = before(tmp_path, DB3, LEADER, SYNC_STANDBY)
    first(old, {("db3", ""): Unreachable("db3")})
    done = take_out(old, {}, tmp_path, monkeypatch)
    assert any("del /keel/dev/members/db3" in command for _, command in done)
    assert stopped == ["stop keel-dev-db3"]
