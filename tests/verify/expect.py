"""How a check says what it found: one sentence per finding, all of them at once, without a traceback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest


def nothing(problems: Iterable[str]) -> None:
    """Fail with every problem, if there is one."""
    found = list(problems)
    if found:
        pytest.fail("; ".join(found), pytrace=False)


def same(found: Mapping[str, object], wanted: Mapping[str, object], where: str = "") -> None:
    """Fail unless ``found`` holds everything in ``wanted``; what it holds beyond that does not matter."""
    prefix = f"{where}: " if where else ""
    nothing(
        f"{prefix}{name} is {found.get(name)!r}, not {value!r}"
        for name, value in wanted.items()
        if found.get(name) != value
    )


def exactly(found: Iterable[str], wanted: Iterable[str], what: str) -> None:
    """Fail unless both hold the same names."""
    has, needs = set(found), set(wanted)
    nothing(
        [f"{what} missing: {name}" for name in sorted(needs - has)]
        + [f"{what} undeclared: {name}" for name in sorted(has - needs)]
    )
