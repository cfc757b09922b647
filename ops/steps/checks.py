"""The checks that the verification owes an environment: what its manifest implies, not what pytest collects.

`tests/verify/checks.txt` names every check of this checkout with what it is made for: each host, each product, …. It is written
by `make reference` and read by people: a check that goes away is a line that goes away. From it and the manifest follows the
exact list, so that a lost file, a hook that drops tests, or an option that leaves some out cannot pass for a verification.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from environment.access import encrypted
from environment.errors import KeelError
from environment.load import ROOT
from environment.manifest import HostEntry, Manifest, ProductEntry
from environment.repositories import Repository, written
from environment.types import Group, Provider

SUITE = ROOT / "tests" / "verify"
RECORD = SUITE / "checks.txt"


class Uncounted(KeelError):
    """A test of the suite runs more than once for another reason than its subjects: which, and what to do."""


class Access(NamedTuple):
    """A product with tenants, and the way by which its application comes."""

    way: str
    entry: ProductEntry


class Function(NamedTuple):
    """A function that every server has."""

    name: str


Subject = HostEntry | ProductEntry | Repository | Access | Function

EACH: dict[str, Callable[[Manifest], Sequence[Subject]]] = {
    "host": lambda manifest: manifest.hosts,
    "server": lambda manifest: manifest.carrying(Group.POSTGRES),
    "archiving": lambda manifest: tuple(
        host for host in manifest.carrying(Group.POSTGRES) if host != manifest.repository_host
    ),
    "delayed": lambda manifest: tuple(manifest.host(name) for name in sorted(manifest.postgres.apply_delay)),
    "store": lambda manifest: manifest.carrying(Group.ETCD),
    "edge": lambda manifest: manifest.carrying(Group.EDGE),
    "cache": lambda manifest: manifest.carrying(Group.REDIS),
    "repository": lambda manifest: written(manifest.repository),
    "listed": lambda manifest: tuple(manifest.products.values()),
    "product": lambda manifest: tuple(entry for entry in manifest.products.values() if not entry.limits.revision),
    "tenanted": lambda manifest: tuple(
        entry for entry in manifest.products.values() if entry.product.identity_type and not entry.limits.revision
    ),
    "secured": lambda manifest: tuple(
        entry
        for entry in manifest.products.values()
        if encrypted(manifest, entry.product) and not entry.limits.revision
    ),
    "access": lambda manifest: tuple(
        Access(way, entry)
        for way, entry in product(("pooled", "direct"), EACH["tenanted"](manifest))
        if isinstance(entry, ProductEntry)
    ),
    "uuid": lambda manifest: (Function("uuidv7"), Function("gen_random_uuid")),
}
"""What a check can be made for: it runs once for each. A product that the stack holds at an older revision is only `listed`: its
application is not admitted, and models, policies and grants describe the head."""

ONLY_WITH: dict[str, Callable[[Manifest], bool]] = {
    "replicas": lambda manifest: manifest.postgres.replicas > 0,
    "readers": lambda manifest: manifest.postgres.replicas > len(manifest.postgres.apply_delay),
    "contained": lambda manifest: manifest.identity.provider is Provider.DOCKER,
    "published": lambda manifest: manifest.identity.provider is Provider.DOCKER and bool(manifest.endpoints.pgbouncer),
    "jeex_idea": lambda manifest: (
        "jeex_idea" in manifest.products and not manifest.products["jeex_idea"].limits.revision
    ),
}
"""What an environment can have or not: a check that needs it exists only there."""


def title(subject: Subject) -> str:
    """What a check's name calls its subject."""
    if isinstance(subject, Access):
        return f"{subject.way}-{title(subject.entry)}"
    if isinstance(subject, ProductEntry):
        return subject.product.name
    return subject.title if isinstance(subject, Repository) else subject.name


def implied(manifest: Manifest) -> list[str]:
    """The checks by name, `test_hosts.test_units[db1]`, that an environment must pass."""
    return [name for line in RECORD.read_text().splitlines() for name in _names(*line.split(), manifest=manifest)]


def _names(test: str, *needs: str, manifest: Manifest) -> Iterator[str]:
    if all(ONLY_WITH[need](manifest) for need in needs if need in ONLY_WITH):
        kinds = [EACH[need](manifest) for need in needs if need in EACH]
        for subjects in product(*kinds):
            yield f"{test}[{'-'.join(map(title, subjects))}]" if subjects else test


def record() -> str:
    """The record as the tests' source has it: a line for each, `test_hosts.test_units host`. Raises Uncounted."""
    conftest = _functions(SUITE / "conftest.py")
    lines = []
    for path in sorted(SUITE.glob("test_*.py")):
        functions = _functions(path)
        for name in (name for name in functions if name.startswith("test_")):
            asked = _asked(name, conftest | functions)
            lines.append(" ".join([f"{path.stem}.{name}", *(need for need in (*EACH, *ONLY_WITH) if need in asked)]))
    return "".join(f"{line}\n" for line in lines)


def _functions(path: Path) -> dict[str, list[str]]:
    """The functions of a module with their parameters, which for tests and fixtures are fixtures."""
    nodes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    for node in nodes:
        if any(word in ast.unparse(each) for each in node.decorator_list for word in ("parametrize", "params=")):
            raise Uncounted(
                f"{path.name}: {node.name}: its runs are not counted. Use a loop, or a kind in EACH of ops/steps/checks.py"
            )
    return {node.name: [each.arg for each in node.args.args] for node in nodes}


def _asked(name: str, functions: dict[str, list[str]]) -> set[str]:
    """The fixtures that a test asks for, and those that they ask for."""
    found: set[str] = set()
    new: Iterable[str] = functions[name]
    while new := {each for each in new if each not in found}:
        found |= new
        new = {each for fixture in new for each in functions.get(fixture, ())}
    return found


if __name__ == "__main__":
    RECORD.write_text(record())
