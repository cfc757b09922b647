"""An environment per pull request: the real commands, in a checkout of their own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.hosts.docker import docker
from ops.state import slots
from tests.system.checkout import Checkout, ended
from tests.system.environments import COMMAND, Ephemeral, remove_leftovers
from tests.system.inventory import leftovers

HOSTS_ALONE = " --target ".join(
    ("--yes --skip-preview", "**keel:host:**", "**keel:HostImage**", "**keel:Drain**", "**docker:index/**")
)
"""Flags of an `up` that ends early: containers, volumes and a network, in seconds."""


@pytest.fixture
def names(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two environments that are not there, and that leave nothing."""
    token = secrets.token_hex(2)
    made = (f"test-pr-{token}", f"test-forgotten-{token}")
    yield made
    for name in made:
        remove_leftovers(name)
        slots.free(name, tmp_path.resolve() / "checkout" / "stacks" / f"Pulumi.{name}.yaml")


def test_environments_of_pull_requests(twin: Ephemeral, names: tuple[str, str], tmp_path: Path) -> None:
    """PLAT-47, PLAT-48, BAC-47: made two at once, up and verified without a question, down without a trace; what was forgotten is
    listed with its age and removed, its stack file gone."""
    there = Checkout(tmp_path)
    before, (name, forgotten) = there.files, names
    for process in [there.start("./keel", "env", "new", each, "--like", "ci", "--json") for each in names]:
        ended(process)
    reserved = {found.environment: slot.number for slot, found in slots.reservations()}
    assert reserved[name] != reserved[forgotten]
    ups = [
        there.start("make", "up", f"ENV={name}"),
        there.start("make", "up", f"ENV={forgotten}", f"UP_FLAGS={HOSTS_ALONE}"),
    ]
    verified, _ = map(ended, ups)
    assert " checks ran, 0 failed" in verified
    (there.root / "stacks" / f"Pulumi.{forgotten}.yaml").unlink()
    listed = there.listed()
    assert (listed[name]["kind"], listed[name]["like"], listed[name]["up"]) == ("ci", "ci", True)
    assert listed[forgotten] | {"made": None, "age_seconds": None} == {
        "name": forgotten, "kind": None, "like": "ci", "made": None, "age_seconds": None, "up": True, "running": 1, "containers": 1,
        "network": str(slots.Slot(reserved[forgotten]).network), "stack_file": None, "in_state": True,
    }  # fmt: skip
    assert 0 < listed[forgotten]["age_seconds"] < COMMAND
    there.run("make", "down", f"ENV={name}")
    assert leftovers(name) == {} and docker("ps", "-q", "--filter", f"label=keel.environment={forgotten}")
    there.run("./keel", "env", "remove", forgotten, "--yes")
    assert leftovers(forgotten) == {}
    assert there.files == before
    assert not {name, forgotten} & {found.environment for _, found in slots.reservations()}
    assert not {name, forgotten} & there.listed().keys()
