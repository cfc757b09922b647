"""What holds of every function and every value: what one gets who says nothing, and that nobody changes a value later."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

from environment.load import ROOT

LAYERS = ("keel_host", "environment", "processes", "roles", "db", "ops")

SCRIPTS = ("roles/deploy.py", "ops/hosts/inventory.py")
"""For pyinfra's command line, which asks hosts as it reads them."""

YES = {
    "plan(masked)",  # a clone hides personal data unless somebody says otherwise
    "take_place(keep)",  # what is replaced stays under another name
    "converge(converge_cluster)",  # services are restarted where they have to be
}
"""Flags that are on unless one says otherwise. Any other is off: nobody gets the larger thing without asking for it."""

CHANGING = {"HostState", "Report"}
"""Dataclasses that are filled bit by bit, from the lines of an answer and by the checks of a drill. Any other is a value."""


@cache
def written() -> tuple[Any, ...]:
    """Every function, method and class of ours."""
    found: list[Any] = []
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if not str(path).endswith(SCRIPTS):
                ours = [each for each in vars(importlib.import_module(name)).values() if _module(each) == name]
                found += ours
                found += [method for each in ours if inspect.isclass(each) for method in vars(each).values()]
    return tuple(found)


def _module(of: Any) -> object:
    return getattr(of, "__module__", None) if inspect.isclass(of) or inspect.isroutine(of) else None


def flags(function: Any) -> Iterator[tuple[str, bool]]:
    """Each parameter that is true or false by default."""
    for parameter in inspect.signature(function).parameters.values():
        if isinstance(parameter.default, bool):
            yield f"{function.__name__}({parameter.name})", parameter.default


def test_who_says_nothing_gets_the_smaller_thing() -> None:
    """Design, principle 9."""
    found = [flag for each in written() if inspect.isfunction(each) for flag in flags(each)]
    assert len(found) > 40
    assert {name for name, on in found if on} == YES


def test_a_value_does_not_change() -> None:
    """It may be a key, be shared, or be kept for comparison."""
    values: list[Any] = [each for each in written() if inspect.isclass(each) and dataclasses.is_dataclass(each)]
    assert len(values) > 30
    assert {each.__name__ for each in values if not each.__dataclass_params__.frozen} == CHANGING
