"""Environments shared by the system tests: one like dev, one like ci, brought up once and removed at the end.

The files carry numbers because order matters: what is brought up first is broken and repaired next and destroyed last.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.session import Session
from tests.system.environments import Ephemeral, discard, prepare
from tests.system.inventory import Inventory, take_inventory


@pytest.fixture(scope="session")
def before() -> Inventory:
    """What was on the machine before the first environment."""
    return take_inventory()


@pytest.fixture(scope="session")
def dev(before: Inventory) -> Iterator[Ephemeral]:
    """An environment with dev's topology."""
    yield from _environment("dev")


@pytest.fixture(scope="session")
def ci(before: Inventory) -> Iterator[Ephemeral]:
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
