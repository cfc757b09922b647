"""What is changed: comparisons, booleans, numbers and returns, one change at a time, made by Cosmic Ray."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import parso
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.work_item import MutationSpec

from tools.mutants import constants

Node = Any
"""Of parso's tree; its types do not say which node has children."""

_PAIRS = "Eq_NotEq NotEq_Eq Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt Is_IsNot IsNot_Is"

OPERATORS = (
    *(f"core/ReplaceComparisonOperator_{pair}" for pair in _PAIRS.split()),
    "core/AddNot",
    "core/NumberReplacer",
    "core/ReplaceAndWithOr",
    "core/ReplaceFalseWithTrue",
    "core/ReplaceOrWithAnd",
    "core/ReplaceTrueWithFalse",
    "core/ReplaceUnaryOperator_Delete_Not",
    "keel/InvertMembership",
    "keel/ReplaceReturn",
)
"""A comparison becomes its opposite or moves its boundary; other pairs differ from these only in what fails sooner."""


class InvertMembership(Operator):  # type: ignore[misc]
    """`in` becomes `not in` and the reverse, which Cosmic Ray's own comparisons leave out."""

    def mutation_positions(self, node: Node) -> Iterator[tuple[Any, Any]]:
        """The operator between the two sides."""
        if node.type == "comparison":
            for operator in node.children[1::2]:
                if _words(operator) in ("in", "not in"):
                    yield operator.start_pos, operator.end_pos

    def mutate(self, node: Node, index: int) -> Node:
        """Replace the `index`-th membership of a chain."""
        places = [i for i in range(1, len(node.children), 2) if _words(node.children[i]) in ("in", "not in")]
        found = node.children[places[index]]
        node.children[places[index]] = parso.parse(" in" if _words(found) == "not in" else " not in")
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """As Cosmic Ray's own operators have them; the tests try them."""
        return (Example("a in b", "a not in b"), Example("a not in b", "a in b"))


class ReplaceReturn(Operator):  # type: ignore[misc]
    """A function returns the nearest wrong value of its declared type: the opposite, one more, nothing, or None."""

    def mutation_positions(self, node: Node) -> Iterator[tuple[Any, Any]]:
        """The whole statement, unless another operator already changes its value."""
        if node.type == "return_stmt" and _wrong(node) is not None:
            yield node.start_pos, node.end_pos

    def mutate(self, node: Node, index: int) -> Node:  # noqa: ARG002
        """Replace the returned expression."""
        node.children[1] = parso.parse(f" {_wrong(node)}")
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """As Cosmic Ray's own operators have them; the tests try them."""
        return (
            Example("def f() -> bool:\n    return a(b)", "def f() -> bool:\n    return not (a(b))"),
            Example("def f() -> int:\n    return a", "def f() -> int:\n    return (a) + 1"),
            Example("def f() -> str:\n    return a", 'def f() -> str:\n    return ""'),
            Example("def f() -> dict[str, int]:\n    return a", "def f() -> dict[str, int]:\n    return {}"),
            Example("def f() -> list[int]:\n    return a", "def f() -> list[int]:\n    return []"),
            Example("def f() -> Host | None:\n    return a", "def f() -> Host | None:\n    return None"),
            Example("def f() -> Host:\n    return a", "def f() -> Host:\n    return None"),
        )


_EMPTY = {
    "str": '""', "bytes": 'b""', "list": "[]", "Sequence": "[]", "Iterable": "[]", "Iterator": "iter(())",
    "dict": "{}", "Mapping": "{}", "tuple": "()", "set": "set()", "frozenset": "frozenset()",
}  # fmt: skip


def _wrong(statement: Node) -> str | None:
    """What to return instead; None where there is nothing to replace or a constant's own operator does it."""
    value = statement.children[1]
    code = value.get_code().strip()
    if code in ("None", "True", "False") or value.type in ("number", "comparison", "not_test"):
        return None
    function = statement.parent
    while function and function.type != "funcdef":
        function = function.parent
    declared = function.annotation.get_code().strip().strip("\"'") if function and function.annotation else ""
    if declared == "bool":
        return f"not ({code})"
    if declared in ("int", "float"):
        return f"({code}) + 1"
    empty = _EMPTY.get(declared.split("[")[0], "None") if "|" not in declared.split("[")[0] else "None"
    return None if code == empty else empty


def _words(node: Node) -> str:
    return " ".join(node.get_code().split())


class _Provider:
    """Cosmic Ray's interface for operators of others."""

    _OWN: dict[str, type[Operator]] = {  # noqa: RUF012
        operator.__name__: operator for operator in (InvertMembership, ReplaceReturn)
    }

    def __iter__(self) -> Iterator[str]:
        return iter(self._OWN)

    def __getitem__(self, name: str) -> type[Operator]:
        return self._OWN[name]


# An entry point would do the same; it would need Keel to be an installed package, which it is not.
plugins.OPERATOR_PROVIDERS["keel"] = _Provider()


@dataclass(frozen=True)
class Spot:
    """Code that has to run for a test to see a change."""

    path: str
    """Relative to the checkout."""
    first: int
    last: int
    """Lines of the whole statement, or of a compound statement's head."""
    on_import: bool
    """Not inside a function: every test of a process that imported the module sees its effect."""


@dataclass(frozen=True)
class Place:
    """Where a change is, and where it shows."""

    path: str
    line: int
    spots: tuple[Spot, ...]
    tests: frozenset[str] = frozenset()
    """Test files that see it whatever they run."""


def specs(root: Path, path: str) -> list[MutationSpec]:
    """Every change of one file, in a fixed order."""
    found: list[MutationSpec] = []
    tree = get_ast((root / path).read_text())
    nodes = list(ast_nodes(tree))
    for name in OPERATORS:
        operator = plugins.get_operator(name)()
        positions = [(node, *position) for node in nodes for position in operator.mutation_positions(node)]
        found += [
            MutationSpec(path, name, occurrence, start, end)
            for occurrence, (node, start, end) in enumerate(positions)
            if not _not_under_test(tree, start) and not _doubled(name, node)
        ]
    return found


def mutated(root: Path, spec: MutationSpec) -> str | None:
    """The file's text after the change; None when it says the same as before or is no Python."""
    before = (root / spec.module_path).read_text()
    after: str | None = mutate_code(before, plugins.get_operator(spec.operator_name)(), spec.occurrence)
    try:
        if after is None or ast.dump(ast.parse(after)) == ast.dump(ast.parse(before)):
            return None
    except SyntaxError:
        return None
    return after


def difference(root: Path, spec: MutationSpec) -> str:
    """The lines before and after, each with its sign."""
    before, after = (root / spec.module_path).read_text(), mutated(root, spec) or ""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def place(root: Path, spec: MutationSpec) -> Place:
    """Where the tests have to pass by to see the change: at the change, or where the constant is read that it changes."""
    path, line = str(spec.module_path), spec.start_pos[0]
    spot = _spot(root, spec)
    name = constants.assigned(root, path, line) if spot.on_import else None
    if name and (read := constants.readers(root, name)):
        return Place(path, line, tuple(Spot(*where, on_import=False) for where in read[0]), frozenset(read[1]))
    return Place(path, line, (spot,))


def _spot(root: Path, spec: MutationSpec) -> Spot:
    node = _tree(root / spec.module_path).get_leaf_for_position(spec.start_pos)
    below, on_import, span = node, True, None
    while node.parent:
        below, node = node, node.parent
        if span is None and (node.type == "simple_stmt" or node.type in _COMPOUND):
            part = node if node.type == "simple_stmt" else below
            # A statement's node ends where the next line begins.
            span = part.start_pos[0], part.end_pos[0] - (part.end_pos[1] == 0)
        if node.type == "funcdef" and below is node.children[-1]:
            on_import = False
    return Spot(str(spec.module_path), *(span or (spec.start_pos[0], spec.end_pos[0])), on_import)


_COMPOUND = {
    "if_stmt", "while_stmt", "for_stmt", "with_stmt", "try_stmt", "funcdef", "classdef", "decorated", "match_stmt",
    "case_block",
}  # fmt: skip


@cache
def _tree(path: Path) -> Node:
    return get_ast(path.read_text())


def _not_under_test(tree: Node, position: tuple[int, int]) -> bool:
    """Inside `if TYPE_CHECKING` or `if __name__ == "__main__"`: the first never runs, the second not in tests."""
    node = tree.get_leaf_for_position(position)
    while node.parent:
        node = node.parent
        if node.type == "if_stmt" and node.children[1].get_code().strip().startswith(("TYPE_CHECKING", "__name__")):
            return True
    return False


def _doubled(operator: str, node: Node) -> bool:
    """A negated condition that another operator negates already."""
    if operator != "core/AddNot":
        return False
    condition = node.children[2] if node.type == "test" else node.children[1]
    return condition.type in ("comparison", "not_test")
