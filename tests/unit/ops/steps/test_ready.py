"""The gate after a host came: what is awaited, for how long, and what lets the next one go."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ops.converge import run
from ops.hosts.lock import Locked
from ops.hosts.session import Unreachable
from ops.steps import ready
from roles.postgres.patroni import Member
from tests.unit.cli_fakes import CLOSED_PORT, LEADER, SYNC_STANDBY
from tests.unit.hosts import ANY, Clock, Hosts, hosts, nothing

INPUTS = {"host": "db2", "container_name": "keel-dev-db2"}
REPLICA_AWAY = replace(SYNC_STANDBY, state="starting")


@pytest.fixture
def greeting() -> Iterator[list[bytes]]:
    """What a listener on loopback says first; its port is the last line."""
    said: list[bytes] = [b"SSH-2.0-test\r\n"]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.sendall(said[0])
                connection.close()

        thread = Thread(target=answer, daemon=True)
        thread.start()
        said.append(str(listener.getsockname()[1]).encode())
        yield said
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def listening(folder: Path, port: int) -> Hosts:
    """Dev's hosts with db2's sshd on a port."""
    session = hosts(folder, {"network.published": {"ssh": port - 1}})
    assert session.manifest.host("db2").ssh.port == port
    session.says["db2", "is-system-running"] = "running\n"
    session.says[ANY, "/etc/keel/hosts"] = ""
    session.says[ANY, "/etc/patroni/config.yml"] = ""
    return session


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The networks of the container, as the engine says them."""
    found: dict[str, Any] = {"keel-dev": {"Aliases": ["0123456789ab"]}}
    monkeypatch.setattr("ops.hosts.docker.inspect", lambda *_: {"NetworkSettings": {"Networks": found}})
    return found


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the engine was asked; the container runs."""
    asked: list[tuple[str, ...]] = []

    def answer(*arguments: str) -> str:
        asked.append(arguments)
        return "true"

    monkeypatch.setattr(ready, "docker", answer)
    return asked


@pytest.fixture
def converged(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """How hosts were converged."""
    done: list[Any] = []
    monkeypatch.setattr(run, "converge", lambda _s, stages, _r, **how: done.append((list(stages), how)))
    return done


@pytest.mark.parametrize(
    ("data", "converges"),
    [
        ({"db2": "", "db1": ""}, False),  # a first creation: the stages follow
        ({"db2": "/var/lib/etcd/member", "db1": ""}, True),
        ({"db2": "", "db1": "/var/lib/postgresql/18/main/PG_VERSION"}, True),  # its own volumes are lost
        ({"db2": Unreachable("db2"), "db1": "/var/lib/etcd/member"}, True),
        ({"db2": Unreachable("db2"), "db1": Unreachable("db1")}, False),
    ],
)
def test_a_replacement_gets_its_services_back(
    tmp_path: Path, greeting: list[bytes], docker: list[Any], converged: list[Any], monkeypatch: pytest.MonkeyPatch,
    data: dict[str, Any], converges: bool,
) -> None:  # fmt: skip
    """Alone, without the work on the cluster as a whole; the first time nothing is there to be put back."""
    session = listening(tmp_path, int(greeting[1]))
    session.says.update({(host, "ls -d"): answer for host, answer in data.items()})
    monkeypatch.setattr(ready, "_well", lambda *_: True)
    assert ready.apply(session, INPUTS, nothing) == {}
    assert docker == [
        ("inspect", "-f", "{{.State.Running}}", "keel-dev-db2"),
        ("update", "--pids-limit", "4096", "keel-dev-db2"),
    ]
    assert converged == ([(list(run.all_stages()), {"only": ["db2"], "converge_cluster": False})] if converges else [])
    assert session.asked("is-system-running") == [("db2", 30)]


@pytest.mark.parametrize("address", ["10.88.0.99", "10.88.0.120", "10.88.0.12"])
def test_a_database_host_that_joins_is_left_to_the_stages(
    tmp_path: Path,
    greeting: list[bytes],
    docker: list[Any],
    converged: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
) -> None:
    """PLAT-37, ADA-28: the others do not let it in yet, and its server would be waited for in vain."""
    session = listening(tmp_path, int(greeting[1]))
    del session.says[ANY, "/etc/patroni/config.yml"]
    session.says["db1", "/etc/patroni/config.yml"] = (
        f"    - hostssl replication keel_replication {address}/32 scram-sha-256\n"
    )
    session.says[ANY, "ls -d"] = "/var/lib/etcd/member"
    monkeypatch.setattr(ready, "_well", lambda *_: True)
    assert ready.apply(session, INPUTS, nothing) == {}
    assert bool(converged) is (address == "10.88.0.12")


@pytest.mark.parametrize("before", ["the same", "another"])
def test_a_container_that_is_there_as_before_is_only_started(
    tmp_path: Path,
    greeting: list[bytes],
    docker: list[Any],
    converged: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    before: str,
) -> None:
    """The gate is passed again after an update that was not verified; the stages do the rest."""
    session = listening(tmp_path, int(greeting[1]))
    session.says[ANY, "ls -d"] = "/var/lib/etcd/member"
    monkeypatch.setattr(ready, "_well", lambda *_: True)
    assert ready.apply(session, {**INPUTS, "container": "the same", "before": before}, nothing) == {}
    assert bool(converged) is (before == "another")


NAMES = ["edge.keel-dev", "redis.keel-dev"]
JOINS = (
    "network",
    "connect",
    "--ip",
    "10.88.0.12",
    *(each for name in NAMES for each in ("--alias", name)),
    "keel-dev",
    "keel-dev-db2",
)
LEAVES = ("network", "disconnect", "keel-dev", "keel-dev-db2")


@pytest.mark.parametrize(
    ("there", "wanted", "done"),
    [
        ({"keel-dev": {"Aliases": [*NAMES, "0123456789ab"]}}, NAMES, []),
        ({"keel-dev": {"Aliases": None}}, [], []),
        ({"keel-dev": {"Aliases": ["0123456789ab", NAMES[0]]}}, NAMES, [LEAVES, JOINS]),
        ({"keel-dev": {"Aliases": None}}, NAMES, [LEAVES, JOINS]),
        ({}, NAMES, [JOINS]),  # the run before ended in between
        ({"keel-dev": {"Aliases": NAMES}}, [], [LEAVES, (*JOINS[:4], *JOINS[-2:])]),
    ],
)
def test_containers_find_the_host_under_its_names(
    tmp_path: Path, greeting: list[bytes], docker: list[Any], converged: list[Any], networks: dict[str, Any],
    there: dict[str, Any], wanted: list[str], done: list[Any],
) -> None:  # fmt: skip
    """BAC-02: it leaves its network only where it has others, and comes back with its address; a refresh says so."""
    session = listening(tmp_path, int(greeting[1]))
    session.says[ANY, "ls -d"] = ""
    networks.clear()
    networks.update(there)
    inputs = {**INPUTS, "aliases": wanted or None}
    assert ready.observe(session, inputs) == (
        [f"db2: containers do not find it as {', '.join(wanted) or 'nothing'}"] if done else []
    )
    assert ready.apply(session, inputs, nothing) == {}
    assert [each for each in docker if each[0] == "network"] == done


def test_a_running_host_gets_no_name_while_another_controller_is_at_work(
    tmp_path: Path, greeting: list[bytes], docker: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its network is away for a moment."""

    def refuse(_session: Any) -> None:
        raise Locked("another")

    monkeypatch.setattr(ready, "refuse_others", refuse)
    session = listening(tmp_path, int(greeting[1]))
    with pytest.raises(Locked):
        ready.apply(session, {**INPUTS, "aliases": NAMES, "container": "the same", "before": "the same"}, nothing)
    assert not [each for each in docker if each[0] == "network"]


LIST = "10.88.0.11 db1 db1.dev # etcd postgres\n10.88.0.21 edge1 edge1.dev # edge etcd redis\n"
DB2 = "10.88.0.12 db2 db2.dev # etcd postgres\n"


def test_the_others_learn_first_what_a_host_carries_now(
    tmp_path: Path, greeting: list[bytes], docker: list[Any], converged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """X-23: a member that joins etcd is let in before it starts. Who knows, or has a list of an earlier release, which does not
    say what hosts carry, is left alone."""
    session = listening(tmp_path, int(greeting[1]))
    del session.says[ANY, "/etc/keel/hosts"]
    session.says["db1", "/etc/keel/hosts"] = LIST + DB2
    session.says["edge1", "/etc/keel/hosts"] = LIST + DB2.replace("etcd ", "")
    session.says["ops1", "/etc/keel/hosts"] = LIST + DB2.partition(" #")[0]
    session.says[ANY, "ls -d"] = "/var/lib/etcd/member"
    monkeypatch.setattr(ready, "_well", lambda *_: True)
    ready.apply(session, INPUTS, nothing)
    assert converged[0] == (["base"], {"only": ["edge1"], "converge_cluster": False})
    assert [how["only"] for _, how in converged[1:]] == [["db2"]]


def test_a_stopped_container_is_started(tmp_path: Path, greeting: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def docker(*arguments: str) -> str:
        asked.append(arguments)
        return "false"

    monkeypatch.setattr(ready, "docker", docker)
    session = listening(tmp_path, int(greeting[1]))
    session.says[ANY, "ls -d"] = ""
    ready.apply(session, INPUTS, nothing)
    assert asked[1] == ("start", "keel-dev-db2")


def test_one_that_does_not_become_well_stops_the_next(
    tmp_path: Path, greeting: list[bytes], docker: list[Any], converged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two minutes, with what its cluster and its units said last."""
    clock = Clock(monkeypatch)
    monkeypatch.setattr(ready, "_well", lambda *_: False)
    monkeypatch.setattr("ops.cluster.patroni.members", lambda _: [LEADER])
    session = listening(tmp_path, int(greeting[1]))
    session.says.update({(ANY, "ls -d"): "/var/lib/etcd/member", ("db2", "journalctl -u patroni"): "no space left"})
    with pytest.raises(ready.NotReady) as failed:
        ready.apply(session, INPUTS, nothing)
    assert (clock.now, set(clock.waits)) == (120, {1})
    assert failed.value.problem.splitlines() == [
        "waited 120 s for the cluster to be healthy with db2, which came back:",
        "    db1 (leader, running)",
        "    no space left",
    ]
    assert failed.value.left == "The next host was left alone"


def test_a_start_that_does_not_end_is_told(
    tmp_path: Path, greeting: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what systemd still has to do."""
    clock, session = Clock(monkeypatch), listening(tmp_path, int(greeting[1]))
    session.says.update(
        {("db2", "is-system-running"): "starting\n", (ANY, "list-jobs"): "7 redis.service start running\n"}
    )
    with pytest.raises(
        ready.NotReady, match=r"waited 60 s for systemd on db2 to start its units: 7 redis\.service start"
    ):
        ready._await_ssh(session, "db2")
    assert clock.now == pytest.approx(60)


def test_only_sshds_greeting_counts(tmp_path: Path, greeting: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's proxy accepts before sshd listens."""
    session = listening(tmp_path, int(greeting[1]))
    assert ready.observe(session, INPUTS) == []
    greeting[0] = b"HTTP"
    assert ready.observe(session, INPUTS) == ["db2: unreachable"]
    clock = Clock(monkeypatch)
    with pytest.raises(ready.NotReady, match=r"waited 60 s for SSH on db2: db2: no SSH greeting on 127.0.0.1"):
        ready._await_ssh(session, "db2")
    assert clock.now == pytest.approx(60)
    assert set(clock.waits) == {0.2}
    closed = hosts(tmp_path, {"network.published": {"ssh": CLOSED_PORT}})
    assert ready.observe(closed, INPUTS) == ["db2: unreachable"]


@pytest.mark.parametrize("silent", [False, True])
def test_a_greeting_may_take_two_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: bool) -> None:
    """A host that accepts and says nothing is not waited for for ever."""
    patience: list[float] = []

    class Connection:
        def __enter__(self) -> Connection:
            return self

        def __exit__(self, *_: object) -> None: ...
        def settimeout(self, seconds: float) -> None:
            patience.append(seconds)

        def recv(self, size: int) -> bytes:
            if silent:
                raise TimeoutError
            return b"SSH-2.0"[:size]

    def connect(_address: tuple[str, int], timeout: float) -> Connection:
        patience.append(timeout)
        return Connection()

    monkeypatch.setattr(socket, "create_connection", connect)
    assert ready.observe(hosts(tmp_path), INPUTS) == (["db2: unreachable"] if silent else [])
    assert patience == [2, 2]


def at(well: int, of: int, *, mine: bool) -> dict[str, bool]:
    """An etcd of so many members, of which so many are well, db2's among them or not."""
    others = well - mine
    return {"db2": mine, **{f"other{i}": i < others for i in range(of - 1)}}


@pytest.mark.parametrize(
    ("etcd", "waits"),
    [
        (at(3, 3, mine=True), False),
        (at(2, 3, mine=True), False),
        (at(2, 3, mine=False), True),  # the others have a majority: it joins them
        (at(1, 3, mine=False), False),  # the others must come back first
        (at(1, 3, mine=True), False),
        (at(0, 3, mine=False), False),
        (at(2, 5, mine=False), False),
        (at(3, 5, mine=False), True),
        (at(2, 4, mine=False), False),  # a half is no majority
        (at(1, 1, mine=True), False),
    ],
)
def test_a_store_with_a_majority_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, etcd: dict[str, bool], waits: bool
) -> None:
    monkeypatch.setattr("ops.cluster.etcd.health", lambda _: etcd)
    monkeypatch.setattr(ready, "members", lambda _: [LEADER, SYNC_STANDBY])
    assert ready._well(hosts(tmp_path), "db2") is not waits


@pytest.mark.parametrize(
    ("found", "well"),
    [
        ([LEADER, SYNC_STANDBY], True),
        ([LEADER, REPLICA_AWAY], False),
        ([LEADER], False),
        ([], False),
        ([replace(LEADER, role="replica"), SYNC_STANDBY], False),  # nobody leads
        ([replace(LEADER, state="starting"), SYNC_STANDBY], False),
        ([replace(LEADER, role="replica"), replace(SYNC_STANDBY, role="leader", state="running")], True),
    ],
)
def test_its_server_and_a_leader_are_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: list[Member], well: bool
) -> None:
    """With a majority of the store; without one PostgreSQL cannot have a leader, and is not asked."""
    monkeypatch.setattr("ops.cluster.etcd.health", lambda _: at(2, 3, mine=True))
    monkeypatch.setattr(ready, "members", lambda _: found)
    assert ready._well(hosts(tmp_path), "db2") is well
    monkeypatch.setattr("ops.cluster.etcd.health", lambda _: at(1, 3, mine=True))
    assert ready._well(hosts(tmp_path), "db2")


def test_a_host_is_asked_for_what_it_carries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """edge1 has no server, ops1 neither server nor store."""
    monkeypatch.setattr(ready, "members", lambda _: pytest.fail("no server is here"))
    monkeypatch.setattr("ops.cluster.etcd.health", lambda _: {"edge1": True})
    assert ready._well(hosts(tmp_path), "edge1")
    monkeypatch.setattr("ops.cluster.etcd.health", lambda _: pytest.fail("no store is here"))
    assert ready._well(hosts(tmp_path), "ops1")
