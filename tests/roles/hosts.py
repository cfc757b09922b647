"""Hosts as pyinfra offers them to a role: one that answers the facts that it knows and writes down what would be carried
out, and this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyinfra.api import Config, FunctionCommand, Inventory, State, StringCommand
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.state import StateStage
from pyinfra.context import ctx_host, ctx_state

from roles.kit import results
from roles.kit.observe import HostState, UnitState


class Host:
    """Refuses a fact that has no answer. ``facts``: name of the fact → answer, or what makes one of its question."""

    def __init__(self, **facts: Any) -> None:
        self.name = "db1"
        self.facts = facts
        self.questions: list[tuple[str, dict[str, Any]]] = []
        self.done: dict[str, list[Any]] = {}
        """Operation → its commands; those that call Python are called."""

    def get_fact(self, fact: type, **question: Any) -> Any:
        self.questions.append((fact.__name__, question))
        answer = self.facts[fact.__name__]
        return answer(**question) if callable(answer) else answer

    def perform(self, name: str, operation: Any, *arguments: Any, **_: str) -> bool:
        """As :func:`roles.kit.results.perform`."""
        commands = self.done.setdefault(name, [])
        for command in operation._inner(*arguments):
            if isinstance(command, FunctionCommand):
                command.function(*command.args)
            commands.append(command)
        return bool(commands)


class Looked(Host):
    """Answers what pyinfra's own operations ask as the one look at the host does."""

    def __init__(self, state: HostState) -> None:
        def directory(path: str) -> Any:
            found = state.paths.get(path)
            if found is None or found.kind != "directory":
                return found and False
            return {"user": found.owner, "group": found.group, "mode": int(found.mode)}

        def units(holds: Callable[[UnitState], bool]) -> Callable[..., dict[str, bool]]:
            return lambda services, **_: {name: holds(state.units[name]) for name in services if name in state.units}

        super().__init__(
            DebPackages={name: {version} for name, version in state.packages.items()},
            Directory=directory,
            Link=lambda path: state.paths[path].kind == "symbolic link",
            SystemdStatus=units(lambda unit: unit.active == "active"),
            SystemdEnabled=units(lambda unit: unit.enabled in ("enabled", "static")),
        )

    def noop(self, _description: str) -> None:
        """pyinfra's own operations say so where they find nothing to do."""


def commands(operation: Any, *arguments: Any) -> list[Any]:
    """What an operation would carry out on a host in the state that is among its arguments: text, or what is none."""
    state = next((argument for argument in arguments if isinstance(argument, HostState)), HostState())
    with ctx_host.use(Looked(state)):
        found = list(operation._inner(*arguments))
    return [command.get_raw_value() if isinstance(command, StringCommand) else command for command in found]


@contextmanager
def here(dry: bool) -> Iterator[None]:
    """This machine as pyinfra's host, as ops.converge.run sets it up."""
    state = State(Inventory((["@local"], {})), Config(), check_for_changes=dry)
    state.set_stage(StateStage.Connect)
    connect_all(state)
    state.set_stage(StateStage.Prepare if dry else StateStage.Execute)
    state.is_executing = not dry
    results.entries.clear()
    try:
        with ctx_state.use(state), ctx_host.use(state.inventory.get_host("@local")):
            yield
    finally:
        disconnect_all(state)


class Clock:
    """In time's place, or gevent's: time passes where it is waited, and a wait that is too long ends as it should."""

    def __init__(self) -> None:
        self.now = 0.0
        self.deadlines: list[tuple[float, Exception]] = []
        self.each: Callable[[], None] = lambda: None
        """Called whenever time has passed."""

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.each()
        for deadline, error in self.deadlines:
            if self.now >= deadline:
                raise error

    @contextmanager
    def Timeout(self, seconds: float, error: Exception) -> Iterator[None]:
        """As gevent's: raises ``error`` in what waits longer."""
        deadline = (self.now + seconds, error)
        self.deadlines.append(deadline)
        try:
            yield
        finally:
            self.deadlines.remove(deadline)
