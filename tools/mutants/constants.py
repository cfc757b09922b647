"""Who reads a constant: a change of its value is seen where its name is, not wherever its module was imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tools.mutants import scratch

CODE = (*scratch.LAYERS, "components")


def assigned(root: Path, path: str, line: int) -> str | None:
    """The name that the module's statement at `line` gives a value, when it is one name."""
    for statement in _tree(root / path).body:
        if statement.lineno <= line <= (statement.end_lineno or 0):
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    return name
    return None


def readers(root: Path, name: str) -> tuple[list[tuple[str, int, int]], set[str]] | None:
    """Where `name` is read: statements inside functions (file, first and last line), and test files.

    None when it is read anywhere else: by a module's own statements, by a template, by what several tests share.
    """
    word = re.compile(rf"\b{re.escape(name)}\b")
    places: list[tuple[str, int, int]] = []
    tests: set[str] = set()
    for path in _files(root):
        if word.search(_text(root / path)) is None or path.endswith(".md"):
            continue
        if path.startswith("tests/") and Path(path).name.startswith("test_"):
            tests.add(path)
        elif path.startswith("tests/") or not path.endswith(".py"):
            return None
        else:
            for statement, inside in _reading(_tree(root / path), name):
                if not inside:
                    return None
                places.append((path, statement.lineno, statement.end_lineno or statement.lineno))
    return places, tests


def _reading(tree: ast.Module, name: str) -> Iterator[tuple[ast.stmt, bool]]:
    """Each statement that reads `name`, and whether it is in a function; an import only hands it on."""

    def visit(node: ast.AST, statement: ast.stmt | None, inside: bool) -> Iterator[tuple[ast.stmt, bool]]:
        for child in ast.iter_child_nodes(node):
            here = child if isinstance(child, ast.stmt) else statement
            match child:
                case ast.Name(id=found, ctx=ast.Load()) | ast.Attribute(attr=found) if found == name and here:
                    yield here, inside
            body = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and child in node.body
            yield from visit(child, here, inside or body)

    yield from visit(tree, None, False)


@cache
def _files(root: Path) -> list[str]:
    return [
        str(path.relative_to(root))
        for folder in (*CODE, "migrations", "tests")
        for path in sorted((root / folder).rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]


@cache
def _text(path: Path) -> str:
    return path.read_text(errors="replace")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(_text(path))
