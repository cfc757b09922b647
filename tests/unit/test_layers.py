"""The layers do not import each other (design, principle 3)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from environment.load import ROOT
from environment.roles import entry, stages

ROLES = [name for names in stages().values() for name in names]
PULUMI = {"pulumi", "pulumi_docker"}
PYINFRA = {"pyinfra", "gevent"}
HOSTS = {"psycopg", "prometheus_client"}
"""What Debian brings to the hosts beside the standard library."""
DATABASES = {"psycopg", "sqlalchemy", "alembic"}

LAYERS: dict[str, set[str]] = {
    "keel_host": set(),
    "environment": {"keel_host"},
    "toolchain": {"environment"},
    "processes": {"environment"},
    "roles": {"environment", "keel_host"},
    "db": {"environment", "keel_host"},
    "migrations": {"environment", "db"},
    "components": {"environment", "processes"},
    "__main__": {"environment", "components"},
    "ops": {"environment", "keel_host", "toolchain", "processes", "roles", "db"},
    "tools": {"environment", "keel_host", "toolchain", "roles", "db", "ops"},
}
"""Package → those that it may import, all of them above it here: nothing imports upwards, and there is no circle. Tests may import
everything, and nothing imports them."""

FORBIDDEN = {
    "environment": PULUMI | PYINFRA | DATABASES,
    "processes": PULUMI | PYINFRA | DATABASES,
    "components": PYINFRA | DATABASES,
    "roles": PULUMI | DATABASES,
    "db": PULUMI | PYINFRA,
    "migrations": PULUMI | PYINFRA,
    "ops": PULUMI,
}
"""Package → what of others no module of it may import."""


ROOMS = (
    ("hosts",),
    ("cluster", "converge", "products", "state"),
    ("backup", "status", "attack"),
    ("steps", "update"),
    ("step",),
    ("cli",),
)
"""The rooms of `ops`, from the lowest floor to the highest: a module may import its own room and the floors below."""

LARGEST_ROOM = 1800
"""Lines. A room that outgrows it gets rooms of its own."""


@cache
def sources() -> dict[str, Path]:
    """Module → its file, of everything that is ours."""
    tops = [path for path in ROOT.iterdir() if not path.name.startswith(".")]
    paths = [path for top in tops for path in (top.rglob("*.py") if top.is_dir() else [top]) if path.suffix == ".py"]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@cache
def imports(module: str) -> frozenset[str]:
    """Every module that one imports, wherever in it: within functions and for types too."""
    path = sources()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # A name of a package may be a module of it.
            found |= {named if (named := f"{base}.{name.name}") in sources() else base for name in node.names}
    return frozenset(found - {module})


def crossings(wrong: Callable[[str, str], bool]) -> set[tuple[str, str]]:
    """The imports, tests' own left out, of which ``wrong`` holds."""
    return {
        (module, other)
        for module in sources()
        if package(module) not in {"tests", "conftest"}
        for other in imports(module)
        if wrong(module, other)
    }


def package(module: str) -> str:
    """The package of a module, which may be anybody's."""
    return module.partition(".")[0]


def test_a_package_imports_those_below_it_only() -> None:
    """Each names only what stands before it, which is what makes it an order."""
    order = list(LAYERS)
    assert not [name for name in order if LAYERS[name] - set(order[: order.index(name)])]
    ours = {package(module) for module in sources()}
    assert ours - {"tests", "conftest"} <= LAYERS.keys()

    def wrong(module: str, other: str) -> bool:
        own, its = package(module), package(other)
        return its in ours and its != own and its not in LAYERS[own]

    assert crossings(wrong) == set()


def test_a_package_brings_no_library_that_is_not_for_it() -> None:
    assert crossings(lambda module, other: package(other) in FORBIDDEN.get(package(module), ())) == set()


def test_no_modules_import_each_other() -> None:
    """Nor in a circle of several."""
    order = TopologicalSorter({module: imports(module) & sources().keys() for module in sources()})
    order.prepare()  # raises CycleError, which names the circle


def room(module: str) -> str:
    """The room of `ops` in which a module is; one beside the rooms is a room by itself."""
    return module.split(".")[1]


def test_what_runs_on_hosts_needs_nothing_of_keel() -> None:
    """It works where nothing else of Keel is; so every other package may import it."""
    known = sys.stdlib_module_names | HOSTS | {"keel_host"}
    assert crossings(lambda module, other: package(module) == "keel_host" and package(other) not in known) == set()


@pytest.mark.parametrize(
    "program", ["bootstrap", "end_sessions", "replica_from_repository", "share_cores", "watch_logins"]
)
def test_what_patroni_runs_needs_only_python(program: str) -> None:
    """Database hosts have neither package. Imports of imports included: seen in a fresh interpreter."""
    script = f"import sys, keel_host.programs.{program}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {name.partition(".")[0] for name in loaded.split()} & HOSTS == set()


def test_no_role_copies_a_module_of_a_layer_above() -> None:
    """What runs on hosts is in `keel_host`; of other layers a role reads data, and the names of migrations."""
    read = {pattern for name in ROLES for pattern in entry(name).reads if pattern.endswith(".py")}
    allowed = ("keel_host/", "roles/", "migrations/*/versions/")
    assert read and {pattern for pattern in read if not pattern.startswith(allowed)} == set()


def test_no_room_of_ops_imports_its_neighbour_or_one_above() -> None:
    floor = {name: number for number, rooms in enumerate(ROOMS) for name in rooms}
    assert {room(module) for module in sources() if module.startswith("ops.")} == floor.keys()

    def wrong(module: str, other: str) -> bool:
        both = module.startswith("ops.") and other.startswith("ops.")
        return both and room(other) != room(module) and floor[room(other)] >= floor[room(module)]

    assert crossings(wrong) == set()


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
