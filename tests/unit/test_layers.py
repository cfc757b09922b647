"""The layers do not import each other (design, principle 3)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from environment.load import ROOT

PULUMI = {"pulumi", "pulumi_docker"}
PYINFRA = {"pyinfra", "gevent"}
FORBIDDEN = {
    "environment": PULUMI
    | PYINFRA
    | {"components", "roles", "ops", "db", "migrations", "psycopg", "sqlalchemy", "alembic"},
    "components": PYINFRA | {"roles", "ops", "db", "migrations", "psycopg", "alembic"},
    "roles": PULUMI | {"components", "ops", "db", "migrations", "psycopg"},
    "db": PULUMI | PYINFRA | {"components", "roles", "ops"},
    "migrations": PULUMI | PYINFRA | {"components", "roles", "ops"},
    "ops": PULUMI | {"components"},
}
"""Layer → what no module of it may import."""


def imports(path: Path) -> Iterator[str]:
    """Top-level packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_a_layer_imports_only_what_it_may(layer: str) -> None:
    modules = sorted((ROOT / layer).rglob("*.py"))
    assert modules
    wrong = {
        (str(path.relative_to(ROOT)), name) for path in modules for name in imports(path) if name in FORBIDDEN[layer]
    }
    assert wrong == set()


def test_no_package_hides_one_that_is_needed() -> None:
    """The project's root is on Python's path."""
    packages = {path.name for path in ROOT.iterdir() if path.is_dir()} | {path.stem for path in ROOT.glob("*.py")}
    assert packages & {"platform", "secrets", "alembic", "pulumi", "pyinfra", "json", "types"} == set()


def test_the_model_brings_neither_pulumi_nor_pyinfra_with_it() -> None:
    """Imports of imports included: seen in a fresh interpreter."""
    script = (
        "import sys, environment.program, environment.urls, environment.image, environment.pki; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {name.partition(".")[0] for name in loaded.split()} & (PULUMI | PYINFRA) == set()
