"""Hosts that remember what the engine and the roles do to them: what was written, and which units ran again.

In Patroni's place stands what its documentation says: a changed parameter reloads every server, or leaves them waiting for a
restart (which does which, tests/db/test_server.py asks real servers); anything else in its configuration concerns Patroni alone.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from pyinfra.api import FactBase

from environment import roles
from environment.manifest import Manifest
from roles.firewall import role as firewall
from roles.kit import engine, operations
from roles.kit.declare import Role, Target, Unit
from roles.kit.observe import HostState, PathState, Present, UnitState
from roles.kit.turns import Turns
from roles.logins import role as logins
from roles.order import ROLES, of_stage
from roles.pgbackrest import role as pgbackrest
from roles.pgbouncer import console
from roles.postgres import cluster, files
from roles.postgres.parameters import at_start
from roles.programs import role as programs
from tests.roles.targets import target

EVENTS = {operations.unit_running: "starts", operations.unit_reloaded: "reloads", operations.unit_restarted: "restarts"}
Ran = dict[tuple[str, str], set[str]]
"""(host, service) → what happened to it."""


class Machine:
    """One host: what lies there, and what its units read last."""

    def __init__(self) -> None:
        self.state = HostState()
        self.read: dict[tuple[str, str], str] = {}

    def look(self, units: Iterable[Unit]) -> HostState:
        """As :func:`roles.kit.engine.observe`."""
        self.state.stale = {
            (name, kind) for unit in units for name, kind, paths in unit.triggers if self.digest(paths) != self.read.get((name, kind))
        }  # fmt: skip
        return self.state

    def digest(self, paths: Iterable[str]) -> str:
        return "".join(self.state.paths[path].sha256 for path in paths if path in self.state.paths)

    def carry_out(self, operation: Any, arguments: tuple[Any, ...]) -> bool:
        """True if it changed something."""
        wanted: Any = arguments[0] if arguments else None
        if operation is operations.certificate:
            return self._lies(wanted.directory, PathState("key pair", "", "", "", repr(wanted.leaf)))
        if operation is operations.directory:
            return self._lies(wanted.path, PathState("directory", wanted.mode, wanted.owner, wanted.group, ""))
        if operation is operations.file:
            return self._lies(wanted.path, PathState("file", wanted.mode, wanted.owner, wanted.group, wanted.content))
        if operation is operations.put_aside:
            return bool(wanted)
        if operation not in EVENTS:
            return True
        self.state.units[wanted.name] = UnitState("active", "enabled")
        kinds = ("reload",) if operation is operations.unit_reloaded else ("reload", "restart")
        self.read |= {(name, kind): self.digest(paths) for name, kind, paths in wanted.triggers if kind in kinds}
        return True

    def _lies(self, path: str, wanted: PathState) -> bool:
        """Put it there; the place of a digest holds the content itself."""
        found, self.state.paths[path] = self.state.paths.get(path), wanted
        return found != wanted

    def forget(self, units: dict[str, str]) -> None:
        """Path → unit: gone."""
        for path, unit in units.items():
            self.state.paths.pop(path)
            self.state.units.pop(unit, None)


class Untouched:
    """In pyinfra's place for what is done on a host beyond declarations: nothing was made by hand, nothing waits."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def get_fact(self, fact: type[FactBase[Any]], path: str = "", **_: object) -> object:
        return path in self.machine.state.paths if fact is Present else fact.default()


class Answering:
    """In pyinfra's place for the cluster as a whole: what Patroni would answer."""

    def __init__(self, answers: dict[type, Callable[[], object]]) -> None:
        self.answers = answers

    def get_fact(self, fact: type, **_: object) -> object:
        return self.answers[fact]()


class Environment:
    """Every host of an environment, and the configuration that Patroni has in etcd."""

    def __init__(self) -> None:
        self.machines: defaultdict[str, Machine] = defaultdict(Machine)
        self.etcd: dict[str, Any] = {}
        self.waiting: set[str] = set()
        self.ran: Ran = {}

    def copy(self) -> Environment:
        """As it is now, with nothing that ran."""
        other = copy.deepcopy(self)
        other.ran = {}
        return other

    def converge(self, monkeypatch: pytest.MonkeyPatch, manifest: Manifest, stages: Iterable[str]) -> Ran:
        """Carry out ``stages`` with the engine and the roles as they are; what ran."""
        for stage in stages:
            for host in manifest.hosts:
                carried = [role for role in of_stage(stage) if role.runs_on(host)]
                for role in carried:
                    self._on(monkeypatch, host.name, role, target(role, host.name, manifest), carried)
            if stage == "data":
                self._converge_cluster(monkeypatch, manifest)
        return self.ran

    def _on(self, monkeypatch: pytest.MonkeyPatch, host: str, role: Role, at: Target, carried: Sequence[Role]) -> None:
        machine, titles = self.machines[host], {unit.name: unit.title or unit.name for unit in role.units(at)}

        def perform(_name: str, operation: Any, *arguments: Any, **_: str) -> bool:
            if operation is pgbackrest._forget_second and arguments[0]:
                self._happened(host, pgbackrest.COPYING, "stops")
                machine.forget(pgbackrest.COPY_UNITS)
            if operation not in vars(operations).values():
                return False
            done = machine.carry_out(operation, arguments)
            if done and operation in EVENTS:
                self._happened(host, titles[arguments[0].name], EVENTS[operation])
            return done

        monkeypatch.setattr(engine, "observe", lambda roles, at: machine.look(u for r in roles for u in r.units(at)))
        for module in (engine, cluster, console, files, firewall, logins, pgbackrest, programs):
            monkeypatch.setattr(module, "perform", perform)
        for module in (cluster, console, firewall, logins, pgbackrest, programs):
            monkeypatch.setattr(module, "host", Untouched(machine))
        engine.converge([role], at, lambda _: None, Turns())

    def _converge_cluster(self, monkeypatch: pytest.MonkeyPatch, manifest: Manifest) -> None:
        role = ROLES["postgres"]
        members = [host.name for host in manifest.hosts if role.runs_on(host)]
        answers: dict[type, Callable[[], object]] = {
            cluster.Configuration: lambda: self.etcd,
            cluster.Members: lambda: json.dumps({"members": [self._member(name) for name in members]}),
        }

        def perform(_name: str, operation: Any, *arguments: Any, **_: str) -> bool:
            if operation is cluster._patch_configuration and arguments[0]:
                self._patched(manifest, arguments[0], members)
            elif operation is cluster._rolling_restart:
                for member in arguments[1]:
                    self._happened(member, "PostgreSQL", "restarts")
                self.waiting.clear()
            return True

        monkeypatch.setattr(cluster, "host", Answering(answers))
        monkeypatch.setattr(cluster, "perform", perform)
        role.converge_cluster(target(role, members[0], manifest))

    def _member(self, name: str) -> dict[str, Any]:
        return {"name": name, "role": "replica", "state": "streaming", "pending_restart": name in self.waiting}

    def _patched(self, manifest: Manifest, patch: dict[str, Any], members: list[str]) -> None:
        begins = not self.etcd
        parameters = patch.get("postgresql", {}).get("parameters", {})
        self.etcd = merged(self.etcd, patch)
        for member in members:
            if begins:
                continue
            self._happened(member, "PostgreSQL" if parameters else "Patroni", "reloads")
            if at_start(manifest, parameters):
                self.waiting.add(member)

    def _happened(self, host: str, service: str, event: str) -> None:
        self.ran.setdefault((host, service), set()).add(event)


def merged(found: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """What Patroni makes of a PATCH: null removes."""
    result = dict(found)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key) or {}, value) if isinstance(value, dict) else value
    return result


STAGES = tuple(roles.stages())
