"""A host as pyinfra offers it to a role: it answers the facts that it knows and writes down what would be carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyinfra.api import FunctionCommand


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

    def perform(self, name: str, operation: Any, *arguments: Any) -> bool:
        """As :func:`roles.kit.journal.perform`."""
        commands = self.done.setdefault(name, [])
        for command in operation._inner(*arguments):
            if isinstance(command, FunctionCommand):
                command.function(*command.args)
            commands.append(command)
        return bool(commands)


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
