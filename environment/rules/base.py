"""A rule is a function over some sections of a stack file; all rules are checked at once."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from environment.readable import Unreadable
from environment.settings import Host
from environment.types import Group


class Problem(NamedTuple):
    """One refused setting: its path in the stack file, the value found, and what is allowed."""

    path: str
    value: object
    allowed: str
    nearest: int | None = None
    """Where another number would do: the nearest one. What that breaks in turn is refused with it."""

    def __str__(self) -> str:
        found = "is not set" if self.value is None else f"= {reprlib.repr(self.value)}"
        path = f"keel:{self.path}" if self.path else "the stack file"
        return f"{path} {found}: {self.allowed}"


Rule = Callable[..., Iterator[Problem]]
_RULES: list[tuple[tuple[str, ...], Rule]] = []


def rule(*sections: str) -> Callable[[Rule], Rule]:
    """Register a rule over the named sections of :class:`Settings`, passed in that order."""

    def register(function: Rule) -> Rule:
        _RULES.append((sections, function))
        return function

    return register


def check(sections: Mapping[str, Any]) -> list[Problem]:
    """Every problem that the rules find in ``sections``, and what would be refused next: what a number breaks that a rule asks
    for. Rules over sections that are absent, or over settings that cannot be read, are left out."""
    told: dict[tuple[Rule, str], list[Problem]] = {}
    written: dict[str, object] = {}
    asked: dict[str, int] = {}
    for _ in _RULES:  # the number that one rule asks for can break another one, and so on
        found: dict[tuple[Rule, str], list[Problem]] = {}
        for function, problem in _found(_with(sections, asked)):
            value = written.setdefault(problem.path, problem.value)
            found.setdefault((function, problem.path), []).append(problem._replace(value=value))
        told |= found
        nearest = {
            each.path: each.nearest for problems in found.values() for each in problems if each.nearest is not None
        }
        if nearest.items() <= asked.items():
            break
        asked |= nearest
    return [problem for problems in told.values() for problem in problems]


def readable_part(problems: Iterator[Problem]) -> Iterator[Problem]:
    """Those that come before a setting that cannot be read."""
    with suppress(Unreadable):
        yield from problems


def _found(sections: Mapping[str, Any]) -> Iterator[tuple[Rule, Problem]]:
    for names, function in _RULES:
        if all(name in sections for name in names):
            for problem in readable_part(function(*(sections[name] for name in names))):
                yield function, problem


def _with(sections: Mapping[str, Any], values: Mapping[str, int]) -> dict[str, Any]:
    """The sections with other numbers: path → number."""
    changed = dict(sections)
    for path, value in values.items():
        section, *inner = path.split(".")
        changed[section] = _replaced(changed[section], inner, value)
    return changed


def _replaced(place: Any, path: Sequence[str], value: int) -> Any:
    if not path:
        return value
    first, *inner = path
    if isinstance(place, Mapping):
        return {**place, first: _replaced(place[first], inner, value)}
    return place.model_copy(update={first: _replaced(getattr(place, first), inner, value)})


def carrying(hosts: Mapping[str, Host], group: Group) -> list[str]:
    """Names of the hosts in ``group``, by name."""
    return [name for name, host in hosts.items() if group in host.groups]
