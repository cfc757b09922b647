"""JSON into frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keel_host.typed import Mistyped, build, document_of


@dataclass(frozen=True)
class Inner:
    """A part."""

    number: float
    other: int | None = None


@dataclass(frozen=True)
class Outer:
    """A whole."""

    name: str
    parts: tuple[Inner, ...] = field(default=(), metadata={"key": "part"})
    by_name: dict[str, Inner] = field(default_factory=dict)
    path: Path | None = None
    free: Any = None


WHOLE: dict[str, Any] = {
    "name": "a", "part": [{"number": 1, "other": 2}, {"number": 0.5, "other": None}], "by_name": {"x": {"number": 3, "other": None}},
    "path": None, "free": [{}],
}  # fmt: skip


def test_every_part_is_made() -> None:
    found = build(Outer, WHOLE | {"path": "/a", "unknown": 1})
    parts = (Inner(1, 2), Inner(0.5))
    assert found == Outer("a", parts, {"x": Inner(3)}, Path("/a"), [{}])
    assert build(Outer, {"name": "a"}) == Outer("a")


def test_and_made_a_document_again() -> None:
    """`./keel backup list --json` shows a stanza as pgBackRest does."""
    assert document_of(build(Outer, WHOLE)) == WHOLE


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "Outer is \\[\\], not of type dict"),
        ({}, "Outer has no name"),
        ({"name": None}, "Outer.name is None, not of type str"),
        ({"name": "a", "part": {}}, "Outer.part is {}, not of type list"),
        ({"name": "a", "part": [{"number": 1}, {}]}, r"Outer.part\[1\] has no number"),
        ({"name": "a", "part": [{"number": True}]}, r"Outer.part\[0\].number is True, not of type float"),
        ({"name": "a", "part": [{"number": 1, "other": "2"}]}, r"other is '2', not of type int"),
        ({"name": "a", "path": 1}, "Outer.path is 1, not of type str"),
    ],
)
def test_what_is_not_of_its_type_is_named(data: Any, words: str) -> None:
    with pytest.raises(Mistyped, match=words):
        build(Outer, data)
