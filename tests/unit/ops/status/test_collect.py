"""What `keel status` makes of its hosts' answers, and how it asks."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from environment.names import MONITOR
from environment.products import catalogue, revisions
from environment.types import Model
from environment.urls import redis_login
from ops.hosts.session import Session, Unreachable
from ops.status import collect, facts
from ops.status.facts import AlertFacts, Facts, PoolFacts, RedisFacts, WatchFacts
from roles.postgres.patroni import Member
from tests.unit.cli_fakes import PRIMARY, REPLICA, environment, program, session

Answers = dict[str, dict[str, str]]


def _cluster(*members: dict[str, object], **more: object) -> str:
    return json.dumps({"members": members, **more})


LEADER = {"name": "db1", "role": "leader", "state": "running", "timeline": 2}
STANDBY = {
    "name": "db2",
    "role": "sync_standby",
    "state": "streaming",
    "timeline": 2,
    "lag": 7,
    "pending_restart": True,
}
POOLS = """database,user,cl_active,cl_waiting,sv_active,sv_idle,maxwait
jeex_idea,jeex_user,6,5,4,3,2
pgbouncer,pgbouncer,1,0,0,0,0
"""
LEAVING = f"{POOLS}database,user,cl_active,cl_waiting,sv_active,sv_idle,maxwait\nruleiq,ruleiq_user,1,0,0,0,0\n"
"""Of two PgBouncers."""
INFO = "# Memory\r\nused_memory:1048576\r\nmaxmemory:268435456\r\n# Clients\r\nconnected_clients:3\r\n"
ENDS = "".join(
    time.strftime("notAfter=%b %d %H:%M:%S %Y GMT\n", time.gmtime(time.time() + days * 86400)) for days in (700, 365.5)
)
"""Two certificates."""
ALERTS = {
    "looked": "2026-11-22T09:00:00Z",
    "alerts": [{"alert": "archive_waiting", "severity": "warning", "text": "WAL waits", "since": "then"}],
}


def answers() -> Answers:
    """A healthy dev's, by host and question."""
    at = {f"revision-{name}": f"{revisions(name)[-1]}\n" for name in catalogue()}
    behind = {f"revision-{name}": "001_behind\n" for name in catalogue()}
    database = {
        "units": "",
        "certificates": ENDS,
        "packages": "postgresql-18 18.6-1\npatroni 4.1-1\n",
        "etcd": "healthy\n",
    }
    patroni = {"cluster": _cluster(LEADER, STANDBY), "config": json.dumps({"synchronous_mode": True})}
    primary, replica = (json.dumps(server.model_dump(exclude={"host"})) for server in (PRIMARY, REPLICA))
    return {
        "db1": {**database, **patroni, **at, "server": primary},
        "db2": {**database, **patroni, **behind, "server": replica},
        "edge1": {"units": "", "packages": "", "etcd": "healthy\n", "pools": POOLS, "leaving": LEAVING, "redis": INFO},
        "ops1": {"units": "", "watch": json.dumps(ALERTS, indent=1) + "\n3\n"},
    }


Run = Callable[[Session, str, str], str]


@pytest.fixture
def collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers | Run], Facts]:
    """Collects what hosts answer, or what is raised when they are asked."""

    def look(said: Answers | Run) -> Facts:
        def run(this: Session, host: str, command: str, timeout: float = 60, given: str = "") -> str:
            if callable(said):
                return said(this, host, command)
            return "".join(f"{question}\0{answer}\0" for question, answer in said[host].items())

        monkeypatch.setattr(Session, "run", run)
        return collect.collect(session(tmp_path))

    return look


def test_the_first_certificate_to_end_is_told(collected: Callable[[Answers], Facts]) -> None:
    """W15: in days; a host that does not say has none."""
    found = {host.name: host.certificate_days for host in collected(answers()).hosts}
    assert found == {"db1": 365, "db2": 365, "edge1": None, "ops1": None}


def test_a_healthy_environment_is_told_whole(collected: Callable[[Answers], Facts]) -> None:
    """PLAT-42: what the hosts say, each fact from the host that knows it."""
    found = collected(answers())
    versions = {"postgresql-18": "18.6-1", "patroni": "4.1-1"}
    assert [(host.name, host.fault, host.failed_units, host.versions) for host in found.hosts] == [
        ("db1", None, (), versions), ("db2", None, (), versions), ("edge1", None, (), {}), ("ops1", None, (), {}),
    ]  # fmt: skip
    assert found.hosts[2].groups == ("edge", "etcd", "redis")
    assert found.members == (
        Member("db1", "leader", "running", 2, None, False), Member("db2", "sync_standby", "streaming", 2, 7, True)
    )  # fmt: skip
    assert found.expected_members == ("db1", "db2")
    assert (found.environment, found.kind, found.replicas) == ("dev", "dev", 1)
    assert (found.synchronous_mode, found.paused) == (True, False)
    assert found.servers == (PRIMARY, REPLICA)
    assert found.etcd == {"db1": True, "db2": True, "edge1": True}
    assert found.pools == (
        PoolFacts(
            edge="edge1", database="jeex_idea", user="jeex_user", clients_active=6, clients_waiting=5,
            servers_active=4, servers_idle=3, waited_seconds=2,
        ),
        PoolFacts(
            edge="edge1", database="jeex_idea", user="jeex_user", clients_active=6, clients_waiting=5,
            servers_active=4, servers_idle=3, waited_seconds=2, leaving=True,
        ),
        PoolFacts(
            edge="edge1", database="ruleiq", user="ruleiq_user", clients_active=1, clients_waiting=0,
            servers_active=0, servers_idle=0, waited_seconds=0, leaving=True,
        ),
    )  # fmt: skip
    assert found.silent_poolers == ()
    assert found.redis == (RedisFacts(host="edge1", used_bytes=2**20, limit_bytes=2**28, clients=3),)
    assert {head.product for head in found.heads} == set(catalogue())
    assert all(head.current == head.head for head in found.heads), "the primary knows, not its replica"
    alert = AlertFacts(alert="archive_waiting", severity="warning", text="WAL waits", since="then")
    assert found.watch == WatchFacts(looked="2026-11-22T09:00:00Z", seconds_ago=3, alerts=(alert,))


DATABASE = {
    "units",
    "certificates",
    "packages",
    "server",
    "cluster",
    "config",
    "etcd",
    *(f"revision-{name}" for name in catalogue()),
}
CARRIED = {
    "dev": {
        "db1": DATABASE, "db2": DATABASE, "edge1": {"units", "certificates", "packages", "etcd", "pools", "leaving", "redis"},
        "ops1": {"units", "certificates", "watch"},
    },
    "ci": {"all1": {*DATABASE, "pools", "leaving", "redis", "watch"}},
}  # fmt: skip


@pytest.mark.parametrize("stack", CARRIED)
def test_a_host_is_asked_for_what_it_carries(stack: str) -> None:
    manifest = environment(stack=stack).manifest
    asked = {host.name: {name for name, _ in collect._questions(manifest, host)} for host in manifest.hosts}
    assert asked == CARRIED[stack]


def _without(host: str, question: str) -> Answers:
    said = answers()
    del said[host][question]
    return said


def _with(host: str, question: str, answer: str) -> Answers:
    said = answers()
    said[host][question] = answer
    return said


@pytest.mark.parametrize(
    ("said", "what", "value"),
    [
        (_with("edge1", "units", "cron.service\nssh.service\n"), "hosts.2.failed_units", ("cron.service", "ssh.service")),
        (_without("db1", "cluster"), "members.1.name", "db2"),
        # The leader's word counts; where it is silent, another member's.
        (_without("db1", "config"), "synchronous_mode", True),
        (_with("db1", "config", "{}"), "synchronous_mode", False),
        (_with("db2", "config", "{}"), "synchronous_mode", True),
        (_with("db1", "cluster", _cluster(LEADER, STANDBY, pause=True)), "paused", True),
        (_with("db2", "cluster", _cluster(LEADER, STANDBY, pause=True)), "paused", False),
        (_with("db1", "cluster", "no JSON"), "members.0.name", "db1"),
        (_without("db1", "server"), "servers", (REPLICA,)),
        (_with("db1", "server", "{}"), "servers", (REPLICA,)),
        (_without("db1", "server"), "heads.0.current", "001_behind"),
        (_without("db1", "revision-ai_assistant"), "heads.0.current", None),
        (_with("db1", "revision-ai_assistant", "\n"), "heads.0.current", None),
        (_without("db2", "etcd"), "etcd", {"db1": True, "db2": False, "edge1": True}),
        (_without("edge1", "pools"), "silent_poolers", ("edge1",)),
        (_with("edge1", "pools", "no,such,columns\n1,2,3\n"), "silent_poolers", ("edge1",)),
        (_with("edge1", "leaving", "no,such,columns\n1,2,3\n"), "pools.0.leaving", False),
        (_without("edge1", "redis"), "redis.0.fault", "does not answer"),
        (_with("edge1", "redis", "NOAUTH\n"), "redis.0.fault", "does not answer"),
        (_without("ops1", "watch"), "watch", None),
        (_with("ops1", "watch", "{}\n\n"), "watch", None),
        (_without("db2", "units"), "hosts.1.fault", f"did not answer within {collect.PATIENCE} s"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told_and_hides_nothing_else(
    collected: Callable[[Answers], Facts], said: Answers, what: str, value: object
) -> None:
    """PLAT-42: a service that is silent, or talks nonsense, is found out."""
    found: Any = collected(said)
    for step in what.split("."):
        found = found[int(step)] if step.isdigit() else getattr(found, step)
    assert found == value


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (Unreachable("refused"), "does not answer on 127.0.0.1:2202 (SSH)"),
        (subprocess.TimeoutExpired("ssh", 15), "did not answer within 15 s"),
        (subprocess.CalledProcessError(1, "ssh", stderr="mktemp: no space\n"), "cannot be asked: mktemp: no space"),
    ],
)
def test_a_host_that_cannot_be_asked_is_told(collected: Callable[[Run], Facts], error: Exception, fault: str) -> None:
    """PLAT-42: once, and the others answer for the cluster."""

    def run(_session: Session, host: str, _command: str) -> str:
        if host in ("db2", "edge1"):
            raise error
        return "".join(f"{question}\0{answer}\0" for question, answer in answers()[host].items())

    found = collected(run)
    assert [host.fault for host in found.hosts] == [None, fault, fault.replace("2202", "2211"), None]
    assert found.servers == (PRIMARY,)
    assert found.etcd == {"db1": True, "db2": False, "edge1": False}
    assert (found.pools, found.silent_poolers, found.redis) == ((), (), ())
    assert [member.name for member in found.members] == ["db1", "db2"]


def test_the_questions_are_asked_in_one_command_and_none_waits_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collected: Callable[[Run], Facts]
) -> None:
    """By a real shell, with programs that answer, fail and hang: what hangs is cut short; no password is an argument."""
    asked, left = tmp_path / "asked", tmp_path / "left"
    left.mkdir()
    programs = {
        "mktemp": f"exec /usr/bin/mktemp -d -p {left}",
        "systemctl": f"until [ -e {asked}-etcd ]; do sleep 0.02; done; echo cron.service",
        "dpkg-query": "echo redis-server 8.0; exit 1",  # one of several packages is not there
        "etcdctl": f"touch {asked}-etcd; exit 1",
        "runuser": "exec sleep 30",
        "redis-cli": f"cat > {asked}-redis; printf '{INFO}'",
    }
    for name, script in programs.items():
        program(tmp_path / "bin", name, f'echo "{name} $*" >> {asked}\n{script}')
    monkeypatch.setattr(collect, "PATIENCE", 0.5)
    variables = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    commands: list[str] = []

    def run(this: Session, host: str, command: str, timeout: float = 60, given: str = "") -> str:
        if host != "edge1":
            raise Unreachable(host)
        commands.append(command)
        return subprocess.run(
            ["sh", "-c", command], input=given, env=variables, capture_output=True, text=True, check=True
        ).stdout

    monkeypatch.setattr(Session, "run", run)
    opened, began = session(tmp_path), time.monotonic()
    found = collect.collect(opened)
    assert time.monotonic() - began < 20, "the question that hung was waited for"
    assert len(commands) == 1
    edge = found.hosts[2]
    assert (edge.fault, edge.failed_units, edge.versions) == (None, ("cron.service",), {"redis-server": "8.0"})
    assert (found.etcd["edge1"], found.silent_poolers) == (False, ("edge1",))
    assert found.redis == (RedisFacts(host="edge1", used_bytes=2**20, limit_bytes=2**28, clients=3),)
    password = opened.roots.password(redis_login(MONITOR))
    assert Path(f"{asked}-redis").read_text() == f"AUTH {MONITOR} {password}\nINFO\n"
    assert password not in asked.read_text() and password not in commands[0]
    assert list(left.iterdir()) == [], "answers are left on the host"


def test_what_nobody_told_is_nothing() -> None:
    """No figure of a service that does not answer stands for one."""
    models = [model for model in vars(facts).values() if isinstance(model, type) and issubclass(model, Model)]
    told = {
        f"{model.__name__}.{name}": field.default
        for model in models
        for name, field in model.model_fields.items()
        if not field.is_required() and field.default_factory is None
    }
    assert "RedisFacts.used_bytes" in told
    assert {name: default for name, default in told.items() if default} == {}
