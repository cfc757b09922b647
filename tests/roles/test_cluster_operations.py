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
from roles.postgres import cluster, patroni
from roles.postgres.parameters import dynamic_configuration
from roles.postgres.patroni import CURL
from tests.roles.hosts import Clock, Host
from tests.roles.targets import manifest_of, target
from tests.stand_ins import calls, stand_in

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


def test_alter_system_is_undone(on: Any) -> None:
    """PLAT-03: in its file, then the server reads its files again, which nobody has to be let in for; no restart for that."""
    host = on(HandMadeSettings=["jit", "work_mem"], RecoverySettings=[])
    cluster.forget_hand_made_settings(at())
    data = paths.data_directory(at().manifest)
    control = f"runuser -u postgres -- {paths.binaries(at().manifest)}/pg_ctl -D {data}"
    assert host.done == {
        "postgres: no ALTER SYSTEM (jit, work_mem)": [
            f"runuser -u postgres -- sed -i '/^#/!d' {data}/postgresql.auto.conf",
            f"! {control} status >/dev/null || {control} reload",
        ],
        "postgres: restart after a recovery": [],
    }


def test_a_server_as_declared_is_left_alone(on: Any) -> None:
    lines = ["local all postgres peer map=keel"]
    host = on(HandMadeSettings=[], RecoverySettings=[], AccessLines=lines, Present=False, Members=members(db1=False))
    cluster.forget_order()
    cluster.forget_hand_made_settings(at())
    cluster.forget_hand_made_access({"pg_ident": lines, "pg_hba": lines})
    cluster.carry_out_restarts(at())
    assert host.done == {
        "postgres: no order to recover waits": [],
        "postgres: no ALTER SYSTEM (none)": [],
        "postgres: restart after a recovery": [],
        "postgres: pg_ident.conf (current)": [],
        "postgres: pg_hba.conf (current)": [],
        "postgres: pending restarts (none)": [],
    }


@pytest.mark.parametrize(
    "facts", [{"RecoverySettings": ["hot_standby"]}, {"HandMadeSettings": ["recovery_target_name"]}]
)
def test_what_a_recovery_set_goes_with_a_restart(on: Any, facts: dict[str, list[str]]) -> None:
    """PLAT-34: in its place, after a checkpoint, until the member is ready again."""
    host = on(**{"HandMadeSettings": [], "RecoverySettings": [], **facts})
    cluster.forget_hand_made_settings(at())
    checkpoint, restart, wait = host.done["postgres: restart after a recovery"]
    assert checkpoint == f"{PSQL} -Xqc checkpoint"
    assert restart == f"{CURL} --fail-with-body --max-time 600 -X POST -d '{{}}' {DB1}/restart"
    assert wait == serving("patroni.service", patroni.ready(at().manifest, "db1"), 300)


def test_an_order_that_was_carried_out_is_taken_away(on: Any) -> None:
    """PLAT-36: it acts once."""
    host = on(Present=True)
    cluster.forget_order()
    assert host.questions == [("Present", {"path": paths.RECOVERY_ORDER})]
    assert host.done == {"postgres: no order to recover waits": ["rm -f /run/postgresql/keel-recovery.json"]}


def test_lines_that_were_added_by_hand_are_named_and_go(on: Any, tmp_path: Path) -> None:
    """PLAT-41: by what they admit; their options, which may hold a password, are not shown. The file is written whole."""
    wanted = ["local all postgres peer map=keel", 'hostssl all "a b" 10.0.0.1/32 scram-sha-256']
    added = "host all all 0.0.0.0/0 ldap ldapbindpasswd=secret"
    host = on(AccessLines=[*wanted, added])
    cluster.forget_hand_made_access({"pg_hba": wanted})
    (name,) = host.done
    assert name == "postgres: pg_hba.conf (host all all 0.0.0.0/0)"
    stand_in(tmp_path, "psql", f"echo {tmp_path}/pg_hba.conf")
    for command in host.done[name]:
        subprocess.run(["sh", "-c", command], check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert (tmp_path / "pg_hba.conf").read_text().splitlines() == wanted
    assert calls(tmp_path).splitlines()[-1] == f"{PSQL} -Xqc select pg_reload_conf()"


@pytest.mark.parametrize("file", ["pg_hba", "pg_ident"])
@pytest.mark.parametrize(("found", "name"), [(["b", "a"], "changed"), (["a"], "changed"), ([], "current")])
def test_a_changed_order_counts_and_no_server_is_none(on: Any, found: list[str], name: str, file: str) -> None:
    """The first line that fits decides. Before the server runs there is no file to write."""
    host = on(AccessLines=found)
    cluster.forget_hand_made_access({file: ["a", "b"]})
    assert list(host.done) == [f"postgres: {file}.conf ({name})"]
    assert bool(host.done[f"postgres: {file}.conf ({name})"]) is bool(found)


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
    lines = cluster_access()
    host = on(
        Present=False, HandMadeSettings=[], RecoverySettings=[], AccessLines=lambda file: lines[file],
        Configuration=dynamic_configuration(manifest_of("dev")), Members="",
    )  # fmt: skip
    ROLES["postgres"].activate(at(), frozenset())
    ROLES["postgres"].converge_cluster(at())
    assert list(host.done) == [
        "postgres: no order to recover waits", "postgres: no ALTER SYSTEM (none)", "postgres: restart after a recovery",
        "postgres: pg_ident.conf (current)", "postgres: pg_hba.conf (current)",
        "postgres: cluster configuration (current)", "postgres: pending restarts (none)",
    ]  # fmt: skip


def cluster_access() -> dict[str, list[str]]:
    """dev's access lines, as the role renders them."""
    from tests.roles.test_promises import ACCESS, LOGINS

    return {"pg_hba": ACCESS["dev"], "pg_ident": LOGINS}


def test_questions_never_fail_a_host_that_has_no_server_yet(tmp_path: Path) -> None:
    """Its silence is an answer; an error of Patroni's is none."""
    for fact in (cluster.Configuration(), cluster.Members()):
        assert fact.command(question="curl it") == "curl it || true"
    stand_in(tmp_path, "psql", "exit 2")
    facts: tuple[tuple[Any, dict[str, str]], ...] = (
        (cluster.HandMadeSettings(), {"data": str(tmp_path)}),
        (cluster.RecoverySettings(), {}),
        (cluster.AccessLines(), {"file": "pg_hba"}),
    )
    for local, asked in facts:
        done = subprocess.run(
            ["sh", "-c", local.command(**asked)],
            capture_output=True,
            text=True,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        )
        assert (done.returncode, done.stdout) == (0, "")
        assert local.process(["# a comment", "", "a line"])[-1:] == ["a line"]
        assert "" not in local.process(["", "a line"])
    assert (
        cluster.RecoverySettings.default() == cluster.HandMadeSettings.default() == cluster.AccessLines.default() == []
    )


@pytest.mark.parametrize("file", ["pg_hba", "pg_ident"])
def test_access_lines_are_read_from_the_file_that_the_server_names(tmp_path: Path, file: str) -> None:
    (tmp_path / "access").write_text("# by hand\nlocal all all peer\n")
    stand_in(tmp_path, "psql", f"echo {tmp_path}/access")
    fact = cluster.AccessLines()
    said = subprocess.check_output(
        ["sh", "-c", fact.command(file)], text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    assert fact.process(said.splitlines()) == ["local all all peer"]
    assert calls(tmp_path) == f"{PSQL} -XAtc show {file.removeprefix('pg_')}_file\n"


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
