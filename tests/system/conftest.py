"""Environments shared by the system tests, each brought up once and removed at the end.

The files carry numbers because order matters: what is brought up first is broken and repaired next and destroyed last. The
environments have nothing to do with each other, so each is a lane (`--lane`) that runs beside the others (tests/gate/queues.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.hosts.session import Session
from tests.gate.queues import LANES
from tests.system.environments import Ephemeral, discard, prepare
from tests.system.inventory import images


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--lane dev`: what needs the environment `dev`, and so on; without it everything."""
    parser.addoption("--lane", choices=LANES)


@pytest.hookimpl(tryfirst=True)  # before families of scenarios are drawn
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that `--lane` asks for."""
    wanted = config.getoption("--lane")
    if wanted:
        left_out = [item for item in items if lane(item) != wanted]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if lane(item) == wanted]


def lane(item: pytest.Item) -> str:
    """The shared environment that a test uses."""
    (found,) = {item.callspec.params["like"]} if _is_for_each(item) else set(LANES) & set(item.fixturenames)  # type: ignore[attr-defined]
    return str(found)


def _is_for_each(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and hasattr(item, "callspec") and "like" in item.callspec.params


@pytest.fixture(scope="session")
def before() -> frozenset[str]:
    """The images on the machine before the first environment."""
    return images()


@pytest.fixture(scope="session")
def dev(before: frozenset[str]) -> Iterator[Ephemeral]:
    """An environment like dev: operation, changes, walls."""
    yield from _environment(prepare("dev"))


@pytest.fixture(scope="session")
def twin(before: frozenset[str]) -> Iterator[Ephemeral]:
    """Another one like dev, up: faults, switchovers, new hosts and packages, interruptions."""
    for environment in _environment(prepare("dev", "twin")):
        environment.up()
        yield environment


@pytest.fixture(scope="session")
def trio(before: frozenset[str]) -> Iterator[Ephemeral]:
    """An environment like dev with a second replica, and etcd beside the databases: the ways back."""
    environment = prepare("dev", "trio")
    hosts = environment.config["keel:hosts"]
    hosts["db3"] = {**hosts["db2"], "address": hosts["db2"]["address"].replace(".12", ".13")}
    hosts["edge1"]["groups"].remove("etcd")
    environment.config["keel:postgres"]["replicas"] = 2
    environment.save()
    yield from _environment(environment)


@pytest.fixture(scope="session")
def ci(before: frozenset[str]) -> Iterator[Ephemeral]:
    """An environment like ci: the smallest; repositories, drills, copies."""
    yield from _environment(prepare("ci"))


@pytest.fixture(scope="session")
def single(before: frozenset[str]) -> Iterator[Ephemeral]:
    """An environment like ci that other products join and leave."""
    yield from _environment(prepare("ci", "single"))


@pytest.fixture
def environment(dev: Ephemeral) -> Iterator[Session]:
    """A session with the environment like dev."""
    with dev.session() as session:
        yield session


def _environment(ephemeral: Ephemeral) -> Iterator[Ephemeral]:
    try:
        yield ephemeral
    finally:
        if ephemeral.project.exists():
            discard(ephemeral)
