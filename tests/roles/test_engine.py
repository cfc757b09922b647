"""What the engine carries out, in which order, on a host that refuses what nobody expected."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import gevent
import pytest
from gevent.local import local

from environment.roles import RoleEntry
from roles.kit import engine, operations
from roles.kit.declare import Directory, File, Role, Target, Unit
from roles.kit.observe import HostState, PathState, UnitState
from roles.kit.results import OperationFailed
from roles.kit.turns import Turns
from tests.roles.hosts import commands
from tests.roles.targets import manifest_of

CONFIG, DROPIN = "/etc/service/config", "/etc/systemd/system/service.service.d/keel.conf"


class Service(Role):
    """A role with one of everything that a change can touch."""

    name = "service"
    entry = RoleEntry(title="A service", groups=frozenset({"etcd"}), packages=("service",))

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (Directory("/etc/service", read="*"),)

    def files(self, target: Target) -> tuple[File, ...]:
        return (File(CONFIG, "config\n"), File(DROPIN, "dropin\n"), File("/etc/service/note", "note\n"))

    def units(self, target: Target) -> tuple[Unit, ...]:
        return (Unit("service.service", restart=(DROPIN,), reload=(CONFIG, "/etc/service"), ready="service-answers"),)

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

    def perform(self, name: str, operation: Any, *arguments: Any, **_: str) -> bool:
        changed = bool(commands(operation, *arguments))
        if changed:
            self.done.append(name.removeprefix("service: "))
        return changed


def converge(monkeypatch: pytest.MonkeyPatch, state: HostState) -> tuple[Host, Service]:
    """One run of the engine on a host in ``state``."""
    host, role, manifest = Host(state), Service(), manifest_of("dev")
    monkeypatch.setattr(engine, "observe", host.observe)
    monkeypatch.setattr(engine, "perform", host.perform)
    target = Target(manifest, manifest.host("db1"), None)  # type: ignore[arg-type]
    engine.converge([role], target, lambda _: None, Turns())
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


def test_what_a_service_reads_and_no_role_declares_is_put_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-48: and the service reads what is left."""
    state = found()
    state.read["/etc/service"] = (CONFIG, "/etc/service/other")
    host, role = converge(monkeypatch, state)
    assert host.done == ["only declared files in /etc/service", "unit service.service reloaded"]
    assert role.told == {"/etc/service"}
    assert commands(operations.put_aside, ("/etc/a b",)) == ["mv -f '/etc/a b' '/etc/a b.aside'"]


@pytest.mark.parametrize(("kind", "does"), [("restart", "restarted"), ("reload", "reloaded")])
def test_a_unit_that_missed_a_change_is_not_forgotten(monkeypatch: pytest.MonkeyPatch, kind: str, does: str) -> None:
    """A run killed between a file and the restart for it, or a file of another stage: the next run makes up for it."""
    state = found()
    state.stale.add(("service.service", kind))
    host, _ = converge(monkeypatch, state)
    assert f"unit service.service {does}" in host.done
    assert not [name for name in host.done if name.startswith("file ")]


def turn(
    unit: Unit, host: str, turns: Turns, role: Role | None = None, told: Callable[[str], None] = lambda _: None
) -> Callable[[], AbstractContextManager[None]]:
    """The turn of a unit on a host of dev."""
    manifest = manifest_of("dev")
    at = Target(manifest, manifest.host(host), None)  # type: ignore[arg-type]
    return partial(engine._turn, role or Role(), unit, at, told, turns)


@pytest.mark.parametrize(
    ("serial", "order"),
    [
        (True, ["db1 restarted", "db1 serves", "db2 restarted", "db2 serves"]),
        (False, ["db1 restarted", "db2 restarted", "db1 serves", "db2 serves"]),
    ],
)
def test_a_serial_unit_restarts_on_one_host_at_a_time(serial: bool, order: list[str]) -> None:
    """Design, principle 8: the next host's turn comes once this one serves again; who needs no turn does not wait."""
    done: list[str] = []

    def on(host: str) -> Callable[..., None]:
        def run(_path: object, text: str, *_: object, **__: object) -> None:
            if not text.endswith("enabled"):
                done.append(f"{host} {text.split()[-1]}")
                gevent.sleep(0)  # a command takes its time: the other hosts go on

        return run

    unit, turns = Unit("cluster.service", restart=(DROPIN,), ready="answers", serial=serial), Turns()
    state = HostState(units={unit.name: UnitState("active", "enabled")})
    hosts = [
        gevent.spawn(engine._apply_unit, unit, state, frozenset({DROPIN}), turn(unit, host, turns), on(host))
        for host in ("db1", "db2")
    ]
    gevent.joinall(hosts, raise_error=True)
    assert done == order


def test_who_uses_a_unit_is_led_elsewhere_before_it_restarts() -> None:
    """PLAT-37: before a restart, in its turn; not before a reload, and not where it is only looked at."""
    done: list[str] = []

    def run(_path: object, text: str, *_: object, **__: object) -> None:
        done.append(text)

    unit = Unit("cluster.service", restart=(DROPIN,), reload=("/settings",), serial=True)
    state = HostState(units={unit.name: UnitState("active", "enabled")})

    class Led(Role):
        def makes_way(self, target: Target, unit: Unit) -> None:
            done.append("led elsewhere")

    for changed in (DROPIN, "/settings", "/other"):
        engine._apply_unit(unit, state, frozenset({changed}), turn(unit, "db1", Turns(), Led()), run)
    assert [text for text in done if "enabled" not in text] == [
        "led elsewhere",
        "unit cluster.service restarted",
        "unit cluster.service reloaded",
    ]


def test_a_host_whose_restart_failed_gives_its_turn_back() -> None:
    """Its own run ends there; another run, or another host's, is not held up for ever."""

    def fail(_path: object, text: str, *_: object, **__: object) -> None:
        if text.endswith("restarted"):
            raise RuntimeError(text)

    unit, turns = Unit("failing.service", restart=(DROPIN,), serial=True), Turns()
    state = HostState(units={unit.name: UnitState("active", "enabled")})
    for _ in range(2):
        with gevent.Timeout(5), pytest.raises(RuntimeError, match=r"failing\.service restarted"):
            engine._apply_unit(unit, state, frozenset({DROPIN}), turn(unit, "db1", turns), fail)


class Cluster(Role):
    """With the primary on db1."""

    name = "service"
    entry = Service.entry
    SERVICE = Unit("cluster.service", restart=(DROPIN,), ready="answers", serial=True)

    def units(self, target: Target) -> tuple[Unit, ...]:
        return (self.SERVICE,)

    def goes_last(self, target: Target, unit: Unit) -> bool:
        return target.host.name == "db1"


def restarts(monkeypatch: pytest.MonkeyPatch, fails: str = "", **units: str) -> tuple[list[str], list[str]]:
    """What the hosts do, each of which must restart its unit in this state, and what they fail with."""
    manifest, done = manifest_of("dev"), list[str]()
    here: Any = local()

    def observe(_roles: object, at: Target) -> HostState:
        here.name = at.host.name
        gevent.sleep(0)  # a look takes its time
        state = HostState(units={"cluster.service": UnitState(units[here.name], "enabled")})
        state.stale.add(("cluster.service", "restart"))
        return state

    def perform(name: str, *_: object, **__: object) -> bool:
        if name.endswith("restarted") and here.name == fails:
            raise OperationFailed(f"{here.name}: lost")
        done.append(f"{here.name} {name.split()[-1]}")
        gevent.sleep(0)
        return True

    monkeypatch.setattr(engine, "observe", observe)
    monkeypatch.setattr(engine, "perform", perform)
    turns = Turns(("cluster.service", host) for host in units)
    hosts = [
        gevent.spawn(
            engine.converge, [Cluster()], Target(manifest, manifest.host(host), None), done.append, turns  # type: ignore[arg-type]
        )
        for host in units
    ]  # fmt: skip
    with gevent.Timeout(5):
        gevent.joinall(hosts)
    shown = ("restarted", "running", "serves", "cluster.service comes after db2")
    return [text for text in done if text.endswith(shown)], [str(host.exception) for host in hosts if host.exception]


def test_the_primary_restarts_after_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-37: so it moves once, to a member that has restarted already."""
    done, failed = restarts(monkeypatch, db1="active", db2="active")
    assert failed == []
    assert done == [
        "service: cluster.service comes after db2", "db2 restarted", "db2 serves", "db1 restarted", "db1 serves",
    ]  # fmt: skip


def test_the_primary_does_not_wait_for_a_new_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which waits for the primary to admit it."""
    done, failed = restarts(monkeypatch, db1="active", db2="inactive")
    assert failed == []
    assert set(done) == {"db1 restarted", "db1 serves", "db2 running", "db2 serves"}


def test_two_that_take_themselves_for_the_primary_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it moves, each may hear an answer of another moment."""
    monkeypatch.setattr(Cluster, "goes_last", lambda *_: True)
    done, failed = restarts(monkeypatch, db1="active", db2="active")
    assert failed == []
    assert sorted(text for text in done if text.endswith("serves")) == ["db1 serves", "db2 serves"]


def test_the_primary_stays_when_another_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second member away would be an outage."""
    done, failed = restarts(monkeypatch, fails="db2", db1="active", db2="active")
    assert done == ["service: cluster.service comes after db2"]
    assert failed == [
        "db1: cluster.service was not restarted: it would have come after db2, which failed. "
        "cluster.service runs on db1 as before. Correct what failed there and run again",
        "db2: lost",
    ]


def test_two_units_have_turns_of_their_own() -> None:
    """The store of one host may restart while another host's server does."""
    done: list[str] = []

    def run(_path: object, text: str, *_: object, **__: object) -> None:
        done.append(text)
        gevent.sleep(0)

    units = [Unit(name, restart=(DROPIN,), ready="answers", serial=True) for name in ("one.service", "two.service")]
    state, turns = HostState(units={unit.name: UnitState("active", "enabled") for unit in units}), Turns()
    gevent.joinall(
        [
            gevent.spawn(engine._apply_unit, unit, state, frozenset({DROPIN}), turn(unit, "db1", turns), run)
            for unit in units
        ]
    )
    assert [text.split()[1] for text in done if not text.endswith("enabled")] == ["one.service", "two.service"] * 2


def test_every_role_is_announced_before_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person sees of a long run."""
    told: list[str] = []
    host, manifest = Host(found()), manifest_of("dev")
    monkeypatch.setattr(engine, "observe", host.observe)
    monkeypatch.setattr(engine, "perform", host.perform)
    engine.converge([Service(), Service()], Target(manifest, manifest.host("db1"), None), told.append, Turns())  # type: ignore[arg-type]
    assert told == ["service", "service"]


@pytest.mark.parametrize("kind", ["restart", "reload"])
def test_systemd_reads_its_files_before_a_restart_that_was_missed(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The drop-in may be what the killed run had written. For a reload of what is no unit file it need not."""
    state = found()
    state.stale.add(("service.service", kind))
    host, _ = converge(monkeypatch, state)
    assert ("systemd reads its unit files" in host.done) is (kind == "restart")


def test_what_another_unit_missed_touches_nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    state = found()
    state.stale |= {("another.service", "restart"), ("another.service", "reload")}
    host, _ = converge(monkeypatch, state)
    assert host.done == []
