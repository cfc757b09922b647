"""What the engine carries out, in which order, on a host that refuses what nobody expected."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from environment.roles import RoleEntry
from roles.kit import engine
from roles.kit.declare import Directory, File, Role, Target, Unit
from roles.kit.observe import HostState, PathState, UnitState
from tests.roles.targets import manifest_of

CONFIG, DROPIN = "/etc/service/config", "/etc/systemd/system/service.service.d/keel.conf"


class Service(Role):
    """A role with one of everything that a change can touch."""

    name = "service"
    entry = RoleEntry(title="A service", groups=frozenset({"etcd"}), packages=("service",))

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (Directory("/etc/service"),)

    def files(self, target: Target) -> tuple[File, ...]:
        return (File(CONFIG, "config\n"), File(DROPIN, "dropin\n"), File("/etc/service/note", "note\n"))

    def units(self, target: Target) -> tuple[Unit, ...]:
        return (Unit("service.service", restart=(DROPIN,), reload=(CONFIG,), ready="service-answers"),)

    def activate(self, target: Target, changed: frozenset[str]) -> None:
        self.told = changed


def found(**changes: Any) -> HostState:
    """A host as the role declares it, with ``changes``: path or unit → what is there instead."""
    content = {CONFIG: "config\n", DROPIN: "dropin\n", "/etc/service/note": "note\n"}
    paths = {
        path: PathState("regular file", "644", "root", "root", hashlib.sha256(text.encode()).hexdigest())
        for path, text in content.items()
    }
    state = HostState(
        packages={"service": "1"},
        paths={"/etc/service": PathState("directory", "755", "root", "root", ""), **paths},
        units={"service.service": UnitState("active", "enabled")},
    )
    for path in changes.get("edited", ()):
        state.paths[path] = state.paths[path]._replace(sha256="0" * 64)
    state.units.update(changes.get("units", {}))
    return state


class Host:
    """Carries out the real operations' comparison; knows no operation that it was not told of."""

    def __init__(self, state: HostState) -> None:
        self.state, self.looks = state, 0
        self.done: list[str] = []

    def observe(self, roles: object, target: object) -> HostState:
        self.looks += 1
        return self.state

    def perform(self, name: str, operation: Any, *arguments: Any) -> bool:
        changed = any(True for _ in operation._inner(*arguments))
        if changed:
            self.done.append(name.removeprefix("service: "))
        return changed


def converge(monkeypatch: pytest.MonkeyPatch, state: HostState) -> tuple[Host, Service]:
    """One run of the engine on a host in ``state``."""
    host, role, manifest = Host(state), Service(), manifest_of("dev")
    monkeypatch.setattr(engine, "observe", host.observe)
    monkeypatch.setattr(engine, "perform", host.perform)
    target = Target(manifest, manifest.host("db1"), None)  # type: ignore[arg-type]
    engine.converge([role], target, lambda _: None)
    return host, role


def test_a_host_as_declared_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Design, principle 5: a second run changes nothing; one look for the whole stage."""
    host, role = converge(monkeypatch, found())
    assert host.done == []
    assert host.looks == 1
    assert role.told == frozenset()


def test_an_empty_host_gets_everything_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    host, _ = converge(monkeypatch, HostState())
    assert host.done == [
        "packages", "directory /etc/service", f"file {CONFIG}", f"file {DROPIN}", "file /etc/service/note",
        "systemd reads its unit files", "unit service.service enabled", "unit service.service running",
        "unit service.service serves",
    ]  # fmt: skip


def test_a_change_of_a_restart_path_restarts_once_and_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    host, role = converge(monkeypatch, found(edited=[DROPIN, CONFIG]))
    assert host.done == [
        f"file {CONFIG}", f"file {DROPIN}", "systemd reads its unit files", "unit service.service restarted",
        "unit service.service serves",
    ]  # fmt: skip
    assert role.told == {CONFIG, DROPIN}


def test_a_change_of_a_reload_path_only_reloads(monkeypatch: pytest.MonkeyPatch) -> None:
    host, _ = converge(monkeypatch, found(edited=[CONFIG]))
    assert host.done == [f"file {CONFIG}", "unit service.service reloaded"]


def test_a_change_of_another_path_touches_no_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    host, _ = converge(monkeypatch, found(edited=["/etc/service/note"]))
    assert host.done == ["file /etc/service/note"]


def test_a_stopped_unit_is_started_not_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    host, _ = converge(monkeypatch, found(edited=[DROPIN], units={"service.service": UnitState("failed", "enabled")}))
    assert host.done[-2:] == ["unit service.service running", "unit service.service serves"]
    assert "unit service.service restarted" not in host.done


def test_a_disabled_unit_is_enabled_and_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    host, _ = converge(monkeypatch, found(units={"service.service": UnitState("active", "disabled")}))
    assert host.done == ["unit service.service enabled"]


def test_one_look_covers_everything_that_roles_declare(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not looked at would be seen as missing, and written at every run."""
    asked: dict[str, Any] = {}

    class Strict:
        def get_fact(self, fact: object, **arguments: Any) -> HostState:
            asked.update(arguments)
            return HostState()

    monkeypatch.setattr(engine, "pyinfra_host", Strict())
    manifest = manifest_of("dev")
    engine.observe([Service()], Target(manifest, manifest.host("db1"), None))  # type: ignore[arg-type]
    assert set(asked["paths"]) == {CONFIG, DROPIN, "/etc/service/note", "/etc/service"}
    assert asked["units"] == ["service.service"]
    assert asked["certificates"] == []


@pytest.mark.parametrize(("kind", "does"), [("restart", "restarted"), ("reload", "reloaded")])
def test_a_unit_that_missed_a_change_is_not_forgotten(monkeypatch: pytest.MonkeyPatch, kind: str, does: str) -> None:
    """A run killed between a file and the restart for it, or a file of another stage: the next run makes up for it."""
    state = found()
    state.stale.add(("service.service", kind))
    host, _ = converge(monkeypatch, state)
    assert f"unit service.service {does}" in host.done
    assert not [name for name in host.done if name.startswith("file ")]
