"""The commands of `./keel` without hosts: exit statuses, documents, errors, and what they do not print."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from db.difference import Difference
from environment.load import ROOT
from keel_host import pgbackrest
from keel_host.gaps import COVERED, OPEN, ArchiveGap
from ops.backup import repository
from ops.backup.repository import RepositoryFailed
from ops.cli.app import app
from ops.converge.client import run
from ops.converge.outcome import Outcome
from ops.hosts.session import Session, Unreachable
from ops.status.facts import AlertFacts, WatchFacts
from ops.steps import verification
from ops.update.rolling import Update
from roles import paths
from tests.unit.cli_fakes import CLOSED_PORT, facts, opened, program, project, session, stack_file


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback sets ENV: each test gets it back as it was."""
    monkeypatch.setenv("ENV", "dev")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command opens dev's model without hosts."""
    opened(monkeypatch, session(tmp_path))


def keel(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("changes", "status"), [({}, 0), ({"synchronous_mode": False}, 1), ({"paused": True}, 1)])
def test_status_tells_by_its_exit_status(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], status: int
) -> None:
    """PLAT-42: non-zero exit when unhealthy."""
    monkeypatch.setattr("ops.status.collect.collect", lambda _: facts(**changes))
    result = keel("status")
    assert result.exit_code == status
    assert ("unprotected" if changes.get("synchronous_mode") is False else "protected") in result.stdout


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("result", "status"), [("passed", 0), ("failed", 3)])
def test_a_drill_tells_its_result(monkeypatch: pytest.MonkeyPatch, result: str, status: int) -> None:
    """ADA-27: by its exit status; the report stays to be shown again."""
    report = {"result": result, "text": f"drill of dev: {result}\n", "checks": [{"name": "a", "objections": []}]}
    report |= dict.fromkeys(("began", "backup", "known", "rto_seconds", "rpo_seconds"), "-")
    monkeypatch.setattr("ops.backup.drill.run", lambda *_: report)
    monkeypatch.setattr(
        "ops.backup.drill.reports", lambda _: [report | {"result": "passed", "text": "an older one"}, report]
    )
    for shown in (keel("drill"), keel("drill", "--last")):
        assert (shown.exit_code, shown.stdout) == (status, report["text"])
    assert json.loads(keel("drill", "--last", "--json").stdout) == report
    assert result in keel("drill", "--list").stdout and keel("drill", "--list").exit_code == 0


@pytest.mark.usefixtures("fake")
def test_without_a_drill_there_is_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.backup.drill.reports", lambda _: [])
    told = keel("drill", "--last")
    assert told.exit_code == 2 and "there was no drill yet" in told.stderr


@pytest.mark.usefixtures("fake")
def test_a_drill_that_left_no_report_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier one found is not taken for its result."""

    def follow(*_: object) -> None:
        raise RepositoryFailed("ops1: ended with status 255")

    monkeypatch.setattr("ops.backup.repository.follow", follow)
    monkeypatch.setattr("ops.backup.drill.reports", lambda _: [{"began": "last week", "result": "passed"}])
    told = keel("drill")
    assert told.exit_code == 2 and "ended with status 255" in told.stderr


@pytest.mark.usefixtures("fake")
def test_status_shows_the_alerts_of_the_backup_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-42: in both forms; a host that has not looked yet is said."""
    alert = AlertFacts(alert="archive_waiting", severity="warning", text="WAL waits", since="then")
    watch = WatchFacts(looked="then", seconds_ago=3, alerts=(alert,))
    monkeypatch.setattr("ops.status.collect.collect", lambda _: facts(watch=watch))
    shown = keel("status")
    assert shown.exit_code == 0 and "archive_waiting" in shown.stdout and "WAL waits" in shown.stdout
    assert json.loads(keel("status", "--json").stdout)["watch"]["alerts"][0]["alert"] == "archive_waiting"
    monkeypatch.setattr("ops.status.collect.collect", lambda _: facts())
    assert "archive_unwatched" in keel("status").stdout


GAP = ArchiveGap(
    "000000010000000000000008", "00000001000000000000000D", 6, "0/8000000", "0/E000000", "2026-11-22T09:00:00Z",
    "2026-11-22T10:00:00Z", "2026-11-22T09:30:00Z", COVERED,
)  # fmt: skip


@pytest.mark.usefixtures("fake")
def test_gaps_are_listed_and_acknowledged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-33: `backup list` names what cannot be reached; what nobody made a backup after cannot be acknowledged."""
    held = pgbackrest.stanza({"name": "dev", "status": {"code": 0, "message": "ok"}})
    monkeypatch.setattr(repository, "stanza", lambda _: held)
    files = {paths.ARCHIVE_GAPS: [GAP.line, replace(GAP, first="A" * 24, until="", state=OPEN).line]}

    def run_there(_session: object, _host: str, command: str, **_: object) -> str:
        if command.startswith("echo"):
            files[paths.ARCHIVE_GAPS] += shlex.split(command)[1].splitlines()
        return ""

    monkeypatch.setattr(Session, "run", run_there)
    monkeypatch.setattr(Session, "recorded", lambda _session, _host, path: "\n".join(files.get(path, [])))
    shown = keel("backup", "list")
    words = " ".join(shown.stdout.split())
    assert "cannot restore to" in words and "the next full backup" in words
    assert [gap["state"] for gap in json.loads(keel("backup", "list", "--json").stdout)["gaps"]] == [COVERED, OPEN]
    told = keel("backup", "acknowledge").stdout
    assert "no moment between 2026-11-22T09:00:00Z and 2026-11-22T10:00:00Z can be restored" in told
    assert "AAAA" not in told
    assert "there is no gap" in keel("backup", "acknowledge").stdout
    found = json.loads(keel("backup", "list", "--json").stdout)["gaps"]
    assert [gap["acknowledged"] for gap in found] == [True, False], "it stays listed"


@pytest.mark.usefixtures("fake")
def test_status_as_json_is_one_stable_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-42: machine-readable."""
    monkeypatch.setattr("ops.status.collect.collect", lambda _: facts())
    first, second = keel("status", "--json"), keel("status", "--json")
    assert first.stdout == second.stdout
    document = json.loads(first.stdout)
    assert document["verdict"]["protected"] is True
    assert {host["name"] for host in document["hosts"]} == {"db1", "db2", "edge1", "ops1"}
    assert list(document) == sorted(document)


@pytest.mark.usefixtures("fake")
def test_an_update_as_json_is_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """JEEX-32: what comes to which host, in their order, and whether it was done."""
    update = Update("db1", {"patroni": ["4.1-1", "4.1-2"]}, {"patroni.service": ["patroni"]}, leads=True)
    carried: list[str] = []
    monkeypatch.setattr("ops.update.rolling.plan", lambda *_: [update])
    monkeypatch.setattr("ops.update.rolling.effects", lambda *_: iter(["PostgreSQL restarts (patroni)"]))
    monkeypatch.setattr(
        "ops.update.rolling.carry_out", lambda _, found, __: carried.extend(each.host for each in found)
    )
    wanted = {
        "host": "db1",
        "packages": {"patroni": {"installed": "4.1-1", "newer": "4.1-2"}},
        "restarts": {"patroni.service": ["patroni"]},
        "moves": True,
        "effects": ["PostgreSQL restarts (patroni)"],
    }
    assert json.loads(keel("update", "--dry", "--json").stdout) == {"hosts": [wanted], "updated": False}
    assert carried == []
    assert json.loads(keel("update", "--yes", "--json").stdout) == {"hosts": [wanted], "updated": True}
    assert carried == ["db1"]
    monkeypatch.setattr("ops.update.rolling.plan", lambda *_: [])
    assert json.loads(keel("update", "--yes", "--json").stdout) == {"hosts": [], "updated": False}


@pytest.mark.usefixtures("fake")
def test_a_pipe_gets_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.status.collect.collect", lambda _: facts(paused=True))
    assert "\x1b" not in keel("status").output


@pytest.mark.parametrize("command", [("status",), ("drift",), ("converge", "--dry"), ("verify",), ("db", "check")])
def test_an_environment_that_is_not_up_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    project(monkeypatch, tmp_path)
    stack_file(tmp_path, "dev", {"network": {"cidr": "10.88.0.0/24", "published": {"ssh": CLOSED_PORT}}})
    result = keel(*command)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: dev is not up: none of its hosts answers (db1 on 127.0.0.1:1,")
    assert result.stderr.strip().endswith("Start it: make up ENV=dev")


@pytest.mark.parametrize(
    "arguments", [("--env", "nope", "status"), ("status", "--env", "nope"), ("status", "-e", "nope")]
)
def test_an_unknown_environment_is_told_wherever_it_is_named(arguments: tuple[str, ...]) -> None:
    result = keel(*arguments)
    assert result.exit_code == 2
    assert "there is no environment 'nope'" in result.stderr
    assert "dev" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("command", [("psql", "nope"), ("env", "nope"), ("db", "check", "nope")])
def test_an_unknown_product_is_told_with_those_there_are(command: tuple[str, ...]) -> None:
    result = keel(*command)
    assert result.exit_code == 2
    listed = "ai_assistant, bacopilot, componentforge, jeex_idea, ruleiq"
    assert result.stderr == f"error: dev has no product 'nope'; it has {listed}\n"


@pytest.mark.usefixtures("fake")
def test_a_mistake_in_keel_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ops.status.collect.collect", broken)
    assert isinstance(keel("status").exception, ZeroDivisionError)


def _outcome(*changes: str, unreachable: tuple[str, ...] = ()) -> Outcome:
    return Outcome(changes=changes, unreachable=unreachable, hosts=4, operations=138)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("outcome", "status"),
    [(_outcome(), 0), (_outcome("db1: file /etc/hosts"), 0), (_outcome(unreachable=("ops1",)), 2)],
)
def test_converge_ends_with_its_figures(monkeypatch: pytest.MonkeyPatch, outcome: Outcome, status: int) -> None:
    asked: dict[str, object] = {}
    monkeypatch.setattr("ops.converge.client.run", lambda *_, **how: asked.update(how) or outcome)
    result = keel("converge", "--dry", "--all", "--host", "db1", "--stage", "base")
    assert result.exit_code == status
    assert result.stdout.splitlines()[-1] == f"138 operations on 4 hosts, {len(outcome.changes)} changes"
    assert all(change.split(": ")[1] in result.stdout for change in outcome.changes)
    assert asked == {"dry": True, "hosts": ["db1"], "stages": ["base"]}


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("option", "what"), [("--host", "db1, db2"), ("--stage", "base, store, data, edge, backup")])
def test_converge_refuses_an_unknown_place_before_it_asks_a_host(option: str, what: str) -> None:
    result = keel("converge", option, "nope")
    assert result.exit_code == 2
    assert what in result.stderr
    assert "Nothing was changed" in result.stderr


def test_converging_tells_unreachable_hosts_and_refuses_to_work_without_them(tmp_path: Path) -> None:
    nowhere = session(tmp_path, {"network.published": {"ssh": CLOSED_PORT}})
    assert run(nowhere, print, dry=True).unreachable == ("db1", "db2", "edge1", "ops1")
    with pytest.raises(Exception, match=r"unreachable: db1.*Nothing was changed"):
        run(nowhere, print, dry=False)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, (["base", "store", "data", "edge", "backup"], ["db1", "db2", "edge1", "ops1"])),
        ({"stages": ["edge", "base"], "hosts": ["db2"]}, (["base", "edge"], ["db2"])),
    ],
)
def test_converging_is_asked_for_every_place_or_for_those_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], asked: tuple[list[str], list[str]]
) -> None:
    """Stages in their own order, whatever the order on the command line."""
    requests: list[dict[str, Any]] = []

    def run_step(request: dict[str, Any], _report: object) -> dict[str, Any]:
        requests.append(request["inputs"])
        return _outcome().model_dump()

    monkeypatch.setattr("ops.converge.client.run_step", run_step)
    assert run(session(tmp_path), print, dry=True, **given) == _outcome()
    ((stages, hosts),) = [(request["stages"], request["hosts"]) for request in requests]
    assert (stages, hosts) == asked


GRANT = Difference(
    "jeex_idea: not declared: SELECT on users for bob", "REVOKE SELECT ON TABLE public.users FROM " + "b" * 200
)


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is found of the containers: nothing, whatever this machine's own engine runs."""
    found: list[str] = []
    monkeypatch.setattr("ops.state.drift.look", lambda _: found)
    return found


@pytest.mark.usefixtures("fake", "containers")
@pytest.mark.parametrize(
    ("outcome", "database", "status"),
    [
        (_outcome(), [], 0),
        (_outcome("db1: file /etc/hosts"), [], 3),
        (_outcome(), [GRANT], 3),
        (_outcome(unreachable=("ops1",)), [GRANT], 2),
        (_outcome(), Unreachable("no primary in dev"), 2),
    ],
)
def test_drift_tells_none_some_or_unknown(
    monkeypatch: pytest.MonkeyPatch, outcome: Outcome, database: list[Difference] | Exception, status: int
) -> None:
    def differences(_: object, name: str) -> list[Difference]:
        if name != "jeex_idea":
            return []
        if isinstance(database, Exception):
            raise database
        return database

    monkeypatch.setattr("ops.status.drift.run", lambda *_, **__: outcome)
    monkeypatch.setattr("ops.products.databases.differences", lambda *_: [])
    monkeypatch.setattr("ops.products.migrations.differences", differences)
    result = keel("drift", "--json")
    assert result.exit_code == status
    document = json.loads(result.stdout)
    assert document["hosts"] == list(outcome.changes)
    assert document["databases"] == ([] if isinstance(database, Exception) else [asdict(one) for one in database])
    assert bool(document["unknown"]) == (status == 2)


@pytest.mark.usefixtures("fake")
def test_drift_of_a_container_is_drift(monkeypatch: pytest.MonkeyPatch, containers: list[str]) -> None:
    """PLAT-48: told with what repairs it."""
    containers.append("container keel-dev-db1 is missing")
    monkeypatch.setattr("ops.status.drift.run", lambda *_, **__: _outcome())
    for module in ("databases", "migrations"):
        monkeypatch.setattr(f"ops.products.{module}.differences", lambda *_: [])
    result = keel("drift")
    assert result.exit_code == 3
    assert result.stdout.splitlines()[0] == "drift: container keel-dev-db1 is missing"
    assert "dev: 1 in Docker, 0 on hosts, 0 in databases" in result.stdout


@pytest.mark.usefixtures("fake", "containers")
def test_a_mistake_in_keel_is_not_told_as_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ops.status.drift.run", lambda *_, **__: _outcome())
    monkeypatch.setattr("ops.products.databases.differences", broken)
    assert isinstance(keel("drift").exception, ZeroDivisionError)


@pytest.mark.usefixtures("fake", "containers")
def test_drift_tells_the_sql_that_would_undo_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for people, in one piece also in a pipe."""
    monkeypatch.setattr("ops.status.drift.run", lambda *_, **__: _outcome())
    monkeypatch.setattr("ops.products.databases.differences", lambda *_: [])
    monkeypatch.setattr("ops.products.migrations.differences", lambda _, name: [GRANT] if name == "jeex_idea" else [])
    lines = keel("drift").stdout.splitlines()
    repaired = "  repaired by: pulumi up --refresh"
    assert lines == [f"drift: {GRANT.what}", repaired, f"  undone by: {GRANT.undo}", "dev: 0 on hosts, 1 in databases"]


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("failures", "status"), [([], 0), (["test_tls: PLAT-39: plain text admitted"], 1)])
def test_verify_tells_each_failure(monkeypatch: pytest.MonkeyPatch, failures: list[str], status: int) -> None:
    monkeypatch.setattr(
        "ops.steps.verification.run", lambda *_: verification.Result(["test_tls.test_chain[db1]"], failures, 324)
    )
    result = keel("verify")
    assert result.exit_code == status
    assert all(failure in result.stdout for failure in failures)
    word = "not verified" if failures else "verified"
    assert result.stdout.endswith(f"1 of 324 checks ran, {len(failures)} failed\ndev: {word}\n")
    assert "only a part" in keel("verify", "--", "-k", "tls").stdout or failures


DRIVERS = {"alembic", "asyncpg", "gevent", "jinja2", "mako", "psycopg", "pulumi", "pyinfra", "pytest", "sqlalchemy"}
"""Packages that take tenths of a second to import."""


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["--help"], DRIVERS | {"cryptography", "pydantic", "yaml"}),
        (["status"], DRIVERS | {"ops.cli.db", "ops.cli.drift"}),
    ],
)
def test_what_is_slow_to_import_waits_for_the_command_that_needs_it(
    tmp_path: Path, arguments: list[str], without: set[str]
) -> None:
    """Start-up is what each command costs before it works. A command has imported all that it needs when it finds no host."""
    stack_file(tmp_path, "dev", {"network": {"cidr": "10.88.0.0/24", "published": {"ssh": CLOSED_PORT}}})
    (tmp_path / "stacks").symlink_to(tmp_path)
    script = f"import sys; from ops.cli.app import app; app({arguments}, standalone_mode=False)"
    shown = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); {script}"
    done = subprocess.run(
        [sys.executable, "-c", shown], cwd=ROOT, env={**os.environ, "KEEL_PROJECT": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    loaded = set(done.stderr.splitlines()[-1].split())
    assert ("ops.status.collect" in loaded) == (arguments == ["status"]), done.stderr
    assert loaded & without == set()


def test_a_scratch_copy_does_not_wait_for_alembic() -> None:
    """Issue 15: it is there within two seconds; only the first of a product's files is migrated."""
    script = "import sys, ops.products.scratch; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & DRIVERS == {"psycopg"}


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (["status"], "dev"),
        (["-e", "ci", "status"], "ci"),
        (["status", "--env", "ci"], "ci"),
        (["status", "--env=ci"], "ci"),
        (["psql", "jeex_idea", "--", "-e", "ci"], "dev"),
    ],
)
def test_the_script_tells_the_set_up_which_environment_it_prepares(
    tmp_path: Path, arguments: list[str], chosen: str
) -> None:
    shutil.copy(ROOT / "keel", tmp_path / "keel")
    program(tmp_path / "tools", "run", 'echo "$ENV: $*"')
    variables = {name: value for name, value in os.environ.items() if name != "ENV"}
    done = subprocess.run([tmp_path / "keel", *arguments], capture_output=True, text=True, check=True, env=variables)
    assert done.stdout.strip() == f"{chosen}: --no-docker python -m ops.cli {' '.join(arguments)}"
