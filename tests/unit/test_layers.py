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


ROOMS = (
    ("hosts",),
    ("cluster", "converge", "products", "state"),
    ("backup", "status"),
    ("steps",),
    ("step",),
    ("cli",),
)
"""The rooms of `ops`, from the lowest floor to the highest: a module may import its own room and the floors below."""

LARGEST_ROOM = 1900
"""Lines. A room that outgrows it gets rooms of its own."""


def modules_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it; of `from package import name` both, for a name may be a module."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def imports(path: Path) -> Iterator[str]:
    """Top-level packages that a file imports."""
    yield from (name.partition(".")[0] for name in modules_of(path))


def room(path: Path) -> str:
    """The room of `ops` in which a file is; a file beside the rooms is one by itself."""
    return path.relative_to(ROOT / "ops").parts[0].removesuffix(".py")


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_a_layer_imports_only_what_it_may(layer: str) -> None:
    modules = sorted((ROOT / layer).rglob("*.py"))
    assert modules
    wrong = {
        (str(path.relative_to(ROOT)), name) for path in modules for name in imports(path) if name in FORBIDDEN[layer]
    }
    assert wrong == set()


def test_no_room_of_ops_imports_its_neighbour_or_one_above() -> None:
    floor = {name: number for number, rooms in enumerate(ROOMS) for name in rooms}
    files = [path for path in sorted((ROOT / "ops").rglob("*.py")) if path != ROOT / "ops" / "__init__.py"]
    assert {room(path) for path in files} == floor.keys()
    wrong = {
        (str(path.relative_to(ROOT)), name)
        for path in files
        for name in modules_of(path)
        if name.startswith("ops.")
        and (other := name.split(".")[1]) != (own := room(path))
        and floor[other] >= floor[own]
    }
    assert wrong == set()


@pytest.mark.parametrize("name", [name for rooms in ROOMS for name in rooms if name != "step"])
def test_no_room_of_ops_outgrows_its_form(name: str) -> None:
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT / "ops" / name).glob("*.py"))
    assert 0 < lines <= LARGEST_ROOM


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
