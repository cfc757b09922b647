"""Environments shared by the system tests: one like dev, one like ci, brought up once and removed at the end.

The files carry numbers because order matters: what is brought up first is broken and repaired next and destroyed last. The two
environments have nothing to do with each other, so that two runs, `--like dev` and `--like ci`, can go on side by side (tools/test).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.session import Session
from tests.system.environments import Ephemeral, discard, prepare
from tests.system.inventory import images


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--like dev`: what needs the environment like dev; `--like ci`: all others; without it everything."""
    parser.addoption("--like", choices=("dev", "ci"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that `--like` asks for."""
    wanted = config.getoption("--like")
    if wanted:
        left_out = [item for item in items if _like(item) != wanted]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _like(item) == wanted]


def _like(item: pytest.Item) -> str:
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    beside = "ci" in getattr(item, "fixturenames", ()) or params.get("like") == "ci" or item.path.stem in OWN
    return "ci" if beside else "dev"


OWN = frozenset({"test_45_products", "test_55_two_replicas"})
"""Files whose tests make environments of their own."""


@pytest.fixture(scope="session")
def before() -> frozenset[str]:
    """The images on the machine before the first environment."""
    return images()


@pytest.fixture(scope="session")
def dev(before: frozenset[str]) -> Iterator[Ephemeral]:
    """An environment with dev's topology."""
    yield from _environment("dev")


@pytest.fixture(scope="session")
def ci(before: frozenset[str]) -> Iterator[Ephemeral]:
    """An environment with ci's topology."""
    yield from _environment("ci")


@pytest.fixture
def environment(dev: Ephemeral) -> Iterator[Session]:
    """A session with the environment like dev."""
    with dev.session() as session:
        yield session


def _environment(like: str) -> Iterator[Ephemeral]:
    ephemeral = prepare(like)
    try:
        yield ephemeral
    finally:
        if ephemeral.project.exists():
            discard(ephemeral)
