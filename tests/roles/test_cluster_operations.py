"""What is done on a member and on the cluster as a whole: asked first, carried out where something differs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from environment.errors import Refused
from roles import paths
from roles.kit.declare import Target
from roles.kit.operations import serving
from roles.order import ROLES
from roles.postgres import cluster, files, patroni
from roles.postgres.parameters import dynamic_configuration
from roles.postgres.patroni import CURL
from tests.roles.hosts import Clock, Host
from tests.roles.targets import manifest_of, target
from tests.stand_ins import stand_in

ASK = f"{CURL} -f --retry 3 --retry-all-errors --retry-delay 1 --max-time 20"
PSQL = "psql -U postgres -d postgres"
DB1 = "https://10.88.0.11:8008"


def at(stack: str = "dev", host: str = "db1") -> Target:
    """A member as the role sees it."""
    return target(ROLES["postgres"], host, manifest_of(stack))


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a host that knows these facts in pyinfra's place."""

    def put(**facts: Any) -> Host:
        host = Host(**facts)
        monkeypatch.setattr(cluster, "host", host)
        monkeypatch.setattr(cluster, "perform", host.perform)
        return host

    return put


def test_a_changed_setting_is_patched_into_the_store(on: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs and nothing else; then Patroni has the time to see who must restart."""
    clock = Clock()
    monkeypatch.setattr(cluster, "gevent", clock)
    found: Any = json.loads(json.dumps(dynamic_configuration(manifest_of("dev"))))
    found["ttl"], found["postgresql"]["parameters"]["jit"] = 99, "it's off"
    host = on(Configuration=found)
    host.run_shell_command = lambda _: (True, type("Output", (), {"stdout": '{"loop_wait": 2}'}))
    cluster.converge_configuration(at())
    patch = '{"postgresql": {"parameters": {"jit": null}}, "ttl": 20}'
    assert host.questions == [("Configuration", {"question": f"{ASK} {DB1}/config"})]
    ((name, (command, _)),) = host.done.items()
    assert name == 'postgres: cluster configuration (jit "it\'s off" instead of nothing; ttl 99 instead of 20)'
    body = patch.replace("'", "'\"'\"'")
    assert command == f"{CURL} --fail-with-body --max-time 60 -X PATCH -d '{body}' {DB1}/config"
    assert clock.now == 3


def test_a_current_configuration_is_left_alone(on: Any) -> None:
    host = on(Configuration=dynamic_configuration(manifest_of("dev")))
    cluster.converge_configuration(at())
    assert host.done == {"postgres: cluster configuration (current)": []}


def test_a_member_as_declared_is_left_alone(on: Any) -> None:
    host = on(Present=False, Members=members(db1=False))
    cluster.forget_order()
    cluster.carry_out_restarts(at())
    assert host.done == {"postgres: no order to recover waits": [], "postgres: pending restarts (none)": []}


@pytest.mark.parametrize(("waits", "went"), [(["hot_standby"], False), ([], True)])
def test_what_a_recovery_set_goes_with_a_restart(
    on: Any, monkeypatch: pytest.MonkeyPatch, waits: list[str], went: bool
) -> None:
    """PLAT-34: in its place, after a checkpoint, until the member is ready again."""
    there = {"pg_hba.conf": ["a line"]}
    host = on(RecoverySettings=waits, Configuration={"ttl": 1}, ServerFiles=there)
    asked: list[Any] = []

    def look(*how: Any) -> bool:
        asked.append(how)
        return went

    monkeypatch.setattr(files, "forget_hand_made", look)
    here, given = at(), {"pg_hba": list[str]()}
    cluster.forget_hand_made(here, given)
    assert asked == [(here, there, given, {"ttl": 1})]
    checkpoint, restart, wait = host.done["postgres: restart after a recovery"]
    assert checkpoint == f"{PSQL} -Xqc checkpoint"
    assert restart == f"{CURL} --fail-with-body --max-time 600 -X POST -d '{{}}' {DB1}/restart"
    assert wait == serving("patroni.service", patroni.ready(at().manifest, "db1"), 300)


@pytest.mark.parametrize("there", [{}, {"pg_hba.conf": ["a line"]}])
def test_no_recovery_is_no_restart(on: Any, monkeypatch: pytest.MonkeyPatch, there: dict[str, list[str]]) -> None:
    """Before there is a cluster nothing is asked of Patroni, and no file is made."""
    host = on(RecoverySettings=[], ServerFiles=there, **({"Configuration": {}} if there else {}))
    monkeypatch.setattr(files, "forget_hand_made", lambda *_: False)
    cluster.forget_hand_made(at(), {})
    assert host.done == {"postgres: restart after a recovery": []}


def test_an_order_that_was_carried_out_is_taken_away(on: Any) -> None:
    """PLAT-36: it acts once."""
    host = on(Present=True)
    cluster.forget_order()
    assert host.questions == [("Present", {"path": paths.RECOVERY_ORDER})]
    assert host.done == {"postgres: no order to recover waits": ["rm -f /run/postgresql/keel-recovery.json"]}


def test_who_waits_for_a_restart_is_named(on: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host = on(Members=members(db1=True, db2=False, db3=True))

    def answers(command: Any) -> tuple[bool, Any]:
        return command.get_raw_value() == "hold", type("Output", (), {"stdout": "held", "stderr": "no"})

    edge = type("Edge", (), {"name": "edge1", "run_shell_command": staticmethod(answers)})
    host.state = type("State", (), {"activated_hosts": [edge]})
    restarted: list[Any] = []
    monkeypatch.setattr(cluster, "restart_all", lambda *how: restarted.append(how))
    here = at()
    cluster.carry_out_restarts(here)
    assert list(host.done) == ["postgres: pending restarts (db1, db3)"]
    ((manifest, reach, name, *_),) = restarted
    del host.state  # a thread that asks an edge does not see it
    assert reach.run("edge1", "hold") == "held"
    with pytest.raises(Refused, match="edge1 did not do as it was asked: held"):
        reach.run("edge1", "fail")
    with pytest.raises(Refused, match="edge2 is not reached by this run"):
        reach.run("edge2", "hold")
    assert (manifest, name) == (here.manifest, "db1")
    assert host.questions == [("Members", {"question": f"{ASK} {DB1}/cluster"})]


def members(**waiting: bool) -> str:
    """What Patroni says of members that wait for a restart or do not."""
    common = {"role": "replica", "state": "streaming"}
    return json.dumps(
        {"members": [{"name": name, "pending_restart": waits, **common} for name, waits in waiting.items()]}
    )


def test_a_new_configuration_is_known_a_loop_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(cluster, "gevent", clock)
    monkeypatch.setattr(cluster, "_ask", lambda _target, _host, path: {"/config": '{"loop_wait": 2}'}[path])
    cluster._await_new_configuration(at())
    assert clock.now == 3


def test_a_member_is_put_right_after_its_services_and_the_cluster_after_all(
    on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every part of the role is called, with the lines that Patroni was given."""
    host = on(
        Present=False, RecoverySettings=[], ServerFiles={"pg_hba.conf": []}, Configuration=dynamic_configuration(manifest_of("dev")), Members="",
    )  # fmt: skip
    asked: list[Any] = []

    def look(*how: Any) -> bool:
        asked.append(how)
        return False

    monkeypatch.setattr(files, "forget_hand_made", look)
    ROLES["postgres"].activate(at(), frozenset())
    ROLES["postgres"].converge_cluster(at())
    assert list(host.done) == [
        "postgres: no order to recover waits", "postgres: restart after a recovery",
        "postgres: cluster configuration (current)", "postgres: pending restarts (none)",
    ]  # fmt: skip
    ((_, _, given, configuration),) = asked
    from tests.roles.test_promises import ACCESS, LOGINS

    assert (given["pg_hba"], given["pg_ident"]) == (ACCESS["dev"], LOGINS)
    assert configuration == dynamic_configuration(manifest_of("dev"))


def test_questions_never_fail_a_host_that_has_no_server_yet(tmp_path: Path) -> None:
    """Its silence is an answer; an error of Patroni's is none."""
    for fact in (cluster.Configuration(), cluster.Members()):
        assert fact.command(question="curl it") == "curl it || true"
    stand_in(tmp_path, "psql", "exit 2")
    local = cluster.RecoverySettings()
    done = subprocess.run(
        ["sh", "-c", local.command()], capture_output=True, text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert local.process(["hot_standby", ""]) == ["hot_standby"]
    assert cluster.RecoverySettings.default() == []


def answers(tmp_path: Path, **said: Any) -> dict[str, str]:
    """Patroni answers at these paths; others are errors. The environment to ask it in."""
    cases = "".join(f"*/{path}) echo '{json.dumps(answer)}';; " for path, answer in said.items())
    stand_in(tmp_path, "curl", f'case "$*" in {cases}*) exit 22;; esac')
    return {"PATH": f"{tmp_path}:/usr/bin:/bin"}


def holds(condition: str, environment: dict[str, str]) -> bool:
    """Whether a shell condition holds, in silence."""
    done = subprocess.run(["sh", "-c", condition], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("", "")
    return done.returncode == 0


@pytest.mark.parametrize(
    ("said", "ready"),
    [
        ({"primary": {}}, True),
        ({"patroni": {"state": "running", "replication_state": "streaming"}}, True),
        ({"patroni": {"state": "starting", "replication_state": "streaming"}}, False),
        ({"patroni": {"state": "running", "replication_state": "in archive recovery"}}, False),
        ({"patroni": {"state": "running"}}, False),
        ({}, False),
    ],
    ids=["leads", "streams", "starts", "reads the archive", "follows none", "silent"],
)
def test_a_member_is_ready_when_it_leads_or_streams(tmp_path: Path, said: dict[str, Any], ready: bool) -> None:
    """PLAT-37: a replica that follows nothing would be taken for one that protects."""
    assert holds(patroni.ready(at().manifest, "db1"), answers(tmp_path, **said)) is ready


@pytest.mark.parametrize("member", ["db2", "db1"])
@pytest.mark.parametrize(
    ("state", "at_work"),
    [
        ("running custom bootstrap script", True), ("creating replica", True), ("starting", True),
        ("in archive recovery", True), ("streaming", False), ("running", False), ("stopped", False),
    ],
)  # fmt: skip
def test_a_member_waits_while_another_is_being_made(tmp_path: Path, member: str, state: str, at_work: bool) -> None:
    """PLAT-34: a restore takes as long as it takes; what the list says of oneself is older than one's own answer."""
    said = {"patroni": {"state": "stopped"}, "cluster": {"members": [{"name": member, "state": state}]}}
    assert holds(patroni.being_made(at().manifest, "db1"), answers(tmp_path, **said)) is (at_work and member == "db2")


@pytest.mark.parametrize(
    ("own", "at_work"),
    [
        ({"state": "initializing new cluster, bootstrap"}, True), ({"state": "creating replica"}, True),
        ({"state": "starting"}, True), ({"state": "running", "replication_state": "in archive recovery"}, True),
        ({"state": "running", "replication_state": "streaming"}, False), ({"state": "stopped"}, False),
    ],
)  # fmt: skip
def test_a_member_is_at_work_while_it_is_being_made(tmp_path: Path, own: dict[str, str], at_work: bool) -> None:
    said = {"patroni": own, "cluster": {"members": []}}
    assert holds(patroni.being_made(at().manifest, "db1"), answers(tmp_path, **said)) is at_work


def test_a_silent_patroni_is_neither_ready_nor_at_work(tmp_path: Path) -> None:
    """Debian 12's jq finds nothing to object to in an empty answer: the next host's turn would come at once, or never."""
    nothing = answers(tmp_path)
    assert not holds(patroni.ready(at().manifest, "db1"), nothing)
    assert not holds(patroni.being_made(at().manifest, "db1"), nothing)
