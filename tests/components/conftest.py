"""One run of the program per environment, shared by the tests that read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from tests.components.recorder import Program, run
from tests.unit.stacks import REMOVED, ROOTS, config

GUARDED_CONTAINERS: Mapping[str, Any] = {
    "environment.provider": "docker",
    "network.cidr": "10.77.0.0/24",
    "network.clients": [],
    "network.published": {"primary": 25220, "pgbouncer": 26432, "redis": 26379, "ssh": 22201},
    **{f"hosts.{name}.ssh": REMOVED for name in ("db1", "db2", "db3", "edge1", "edge2", "ops1")},
    **{
        f"hosts.{name}.address": f"10.77.0.{10 + i}"
        for i, name in enumerate(("db1", "db2", "db3", "edge1", "edge2", "ops1"))
    },
}
"""Staging on one machine: containers whose data is kept."""


@cache
def program_of(name: str) -> Program:
    """What the program registers for a real stack; `kept` is staging in containers."""
    stack, patch = ("staging", GUARDED_CONTAINERS) if name == "kept" else (name, {})
    written = {key: json.dumps(value) for key, value in config(stack, patch).items()}
    return run(stack, {**written, **ROOTS})


@pytest.fixture
def dev() -> Program:
    """Four containers."""
    return program_of("dev")


@pytest.fixture
def ci() -> Program:
    """One container with everything."""
    return program_of("ci")


@pytest.fixture
def staging() -> Program:
    """Machines that exist."""
    return program_of("staging")


@pytest.fixture
def kept() -> Program:
    """Staging in containers."""
    return program_of("kept")


@pytest.fixture(autouse=True, scope="session")
def no_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What began and was not verified is read and written beside Pulumi's state: not beside that of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path_factory.mktemp('state')}")
        yield
