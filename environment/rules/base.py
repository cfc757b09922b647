"""A rule is a function over some sections of a stack file; all rules are checked at once."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from environment.settings import Host
from environment.types import Group


class Problem(NamedTuple):
    """One refused setting: its path in the stack file, the value found, and what is allowed."""

    path: str
    value: object
    allowed: str

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
    """Every problem that the rules find in ``sections``; rules over absent (refused) sections are left out."""
    return [
        problem
        for names, function in _RULES
        if all(name in sections for name in names)
        for problem in function(*(sections[name] for name in names))
    ]


def carrying(hosts: Mapping[str, Host], group: Group) -> list[str]:
    """Names of the hosts in ``group``, by name."""
    return [name for name, host in hosts.items() if group in host.groups]
