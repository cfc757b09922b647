"""Roles over several hosts: which run where, what is told, and how failures are collected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.context import ctx_host

from environment.types import Group
from ops.converge import run as roles_run
from ops.converge.outcome import Outcome
from ops.converge.run import ConvergeFailed
from ops.steps import converge
from roles.kit import engine, results
from roles.kit.declare import Target, Trust, Unit
from roles.kit.results import OperationFailed
from roles.kit.turns import Turns
from tests.unit.hosts import hosts, nothing


class Role:
    """Runs on hosts of a group, and notes where it converges the cluster."""

    def __init__(self, name: str, group: Group) -> None:
        self.name, self.group = name, group
        self.converged: list[str] = []

    def runs_on(self, host: Any) -> bool:
        return bool(host.carries(self.group))

    def units(self, target: Target) -> tuple[Unit, ...]:
        return (Unit(f"{self.name}.service", serial=True),)

    def converge_cluster(self, target: Target) -> None:
        self.converged.append(target.host.name)


POSTGRES, EDGE = Group.POSTGRES, Group.EDGE


@pytest.fixture
def roles(monkeypatch: pytest.MonkeyPatch) -> dict[str, Role]:
    """Two of one stage."""
    made = {"postgres": Role("postgres", POSTGRES), "haproxy": Role("haproxy", EDGE)}
    monkeypatch.setattr(roles_run, "of_stage", lambda _: list(made.values()))
    return made


def state(*names: str) -> Any:
    """pyinfra's, of hosts that are connected."""
    there = [SimpleNamespace(name=name) for name in names]
    return SimpleNamespace(activated_hosts=there, inventory=SimpleNamespace(get_host=lambda name: f"pyinfra's {name}"))


@pytest.mark.parametrize("converge_cluster", [True, False])
def test_each_host_gets_its_own_roles_and_the_first_settles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, roles: dict[str, Role], converge_cluster: bool
) -> None:
    """The work on a cluster as a whole is done once, after all hosts, by the first that is connected."""
    done: dict[str, list[str]] = {}
    told: list[str] = []

    def run(chosen: list[Role], target: Target, announce: Callable[[str], None], turns: Turns) -> None:
        assert ctx_host.get() == f"pyinfra's {target.host.name}"
        done[target.host.name] = [role.name for role in chosen]
        assert not any(role.converged for role in roles.values())
        for role in chosen:
            announce(role.name)

    monkeypatch.setattr(engine, "converge", run)
    roles_run._run_stage(
        hosts(tmp_path), "data", state("db2", "edge1", "ops1"), told.append, converge_cluster, Trust.OWN
    )
    assert done == {"db2": ["postgres"], "edge1": ["haproxy"], "ops1": []}
    assert {name: role.converged for name, role in roles.items()} == (
        {"postgres": ["db2"], "haproxy": ["edge1"]} if converge_cluster else {"postgres": [], "haproxy": []}
    )
    assert "data: db2: postgres" in told
    assert [line.rpartition("(")[2] for line in told if "done" in line] == ["1 of 3)", "2 of 3)", "3 of 3)"]


def test_a_role_whose_hosts_are_away_settles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, roles: dict[str, Role]
) -> None:
    monkeypatch.setattr(engine, "converge", lambda *_: None)
    roles_run._run_stage(hosts(tmp_path), "data", state("ops1"), nothing, True, Trust.OWN)
    assert [role.converged for role in roles.values()] == [[], []]


def test_every_hosts_failure_is_told() -> None:
    """An operation's own words, and the traceback of any other error."""

    def fail(error: Exception) -> None:
        raise error

    roles_run._in_parallel({"db1": (lambda: None,)})
    with pytest.raises(ConvergeFailed) as failed:
        roles_run._in_parallel({
            "db1": (fail, OperationFailed("db1: file /etc/hosts: read-only")), "db2": (lambda: None,),
            "ops1": (fail, ValueError("a number")),
        })  # fmt: skip
    assert failed.value.problem.startswith("db1: file /etc/hosts: read-only\nops1: a mistake in Keel:\nTraceback")
    assert failed.value.problem.endswith("ValueError: a number\n")
    assert failed.value.left == "What ran before stays"


@pytest.mark.parametrize("only", [None, ["db2", "edge1"]])
def test_an_outcome_holds_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only: list[str] | None) -> None:
    """Of this run: what an earlier one in the process did is not counted. All hosts, or those that are asked for."""
    session, asked = hosts(tmp_path), list[Any]()

    class Connected:
        def __enter__(self) -> Any:
            return state(*(only or ["db1", "db2", "edge1", "ops1"]))

        def __exit__(self, *_: object) -> None: ...

    def connected(_session: object, there: list[Any], dry: bool) -> Connected:
        asked.append(([host.name for host in there], dry))
        return Connected()

    def run(_session: object, name: str, *_: object) -> None:
        asked.append(name)
        for changed in (True, False):
            results.entries.append(results.Entry("db1", name, changed))

    results.entries.append(SimpleNamespace(changed=True))  # type: ignore[arg-type]
    monkeypatch.setattr(roles_run, "_connected", connected)
    monkeypatch.setattr(roles_run, "_run_stage", run)
    outcome = roles_run.converge(session, ["base", "data"], nothing, only=only, trust=[Trust.OWN])
    assert asked == [(only or ["db1", "db2", "edge1", "ops1"], False), "base", "data"]
    assert (outcome.operations, outcome.changes) == (4, ("db1: base", "db1: data"))
    results.entries.clear()


@pytest.mark.parametrize("dry", [True, False])
def test_a_stage_is_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dry: bool) -> None:
    """Looking changes nothing; what is recorded does not differ between two runs."""
    told: list[str] = []

    def run(_session: object, stages: list[str], _report: object, *, dry: bool = False) -> Outcome:
        assert stages == ["edge"]
        told.append(f"dry: {dry}")
        return Outcome(changes=("db2: b", "db1: a"), unreachable=("ops1",), hosts=3, operations=17)

    monkeypatch.setattr(converge, "converge", run)
    inputs = {"stage": "edge"}
    if dry:
        assert converge.observe(hosts(tmp_path), inputs) == ["db1: a", "db2: b", "ops1: unreachable"]
        assert told == ["dry: True"]
    else:
        assert converge.apply(hosts(tmp_path), inputs, told.append) == {}
        assert told == ["dry: False", "edge: 2 of 17 operations changed something"]
