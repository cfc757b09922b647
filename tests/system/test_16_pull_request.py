"""An environment per pull request: the real commands, in a checkout of their own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ops.hosts.docker import docker
from ops.state import slots
from roles.paths import SOCKETS
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


def sized_by_itself(there: Checkout, name: str) -> None:
    """Let the host have what it needs for so many connections."""
    path = there.root / "stacks" / f"Pulumi.{name}.yaml"
    stack = yaml.safe_load(path.read_text())
    stack["config"]["keel:hosts"]["all1"] |= {"memory": "auto", "cpus": "auto"}
    stack["config"]["keel:postgres"] = {"max_connections": 250}
    path.write_text(yaml.safe_dump(stack, sort_keys=False))


def assert_sizes(there: Checkout, name: str) -> None:
    """What `./keel tune` says of the stack file is what the container has and the server runs with."""
    told = json.loads(there.run("./keel", "-e", name, "tune", "--json"))
    values = {line["name"]: line["value"].replace(" ", "") for line in told["sizes"]}
    (container,) = docker("ps", "-q", "--filter", f"label=keel.environment={name}").split()
    memory = int(docker("inspect", "-f", "{{.HostConfig.Memory}}", container)) >> 20
    assert f"{memory}MiB" == values["hosts.all1.memory"] != "2048MiB"
    for size in ("shared_buffers", "work_mem", "max_connections"):
        shown = docker("exec", "-u", "postgres", container, "psql", "-h", SOCKETS, "-XAtqc", f"show {size}").strip()
        assert shown == values[size], size


def test_environments_of_pull_requests(twin: Ephemeral, names: tuple[str, str], tmp_path: Path) -> None:
    """PLAT-47, PLAT-48, BAC-47, ADA-01: made two at once, one of a size that follows from what it holds, up and verified
    without a question, down without a trace; what was forgotten is listed with its age and removed, its stack file gone."""
    there = Checkout(tmp_path)
    before, (name, forgotten) = there.files, names
    for process in [there.start("./keel", "env", "new", each, "--like", "ci", "--json") for each in names]:
        ended(process)
    sized_by_itself(there, name)
    reserved = {found.environment: slot.number for slot, found in slots.reservations()}
    assert reserved[name] != reserved[forgotten]
    ups = [
        there.start("make", "up", f"ENV={name}"),
        there.start("make", "up", f"ENV={forgotten}", f"UP_FLAGS={HOSTS_ALONE}"),
    ]
    verified, _ = map(ended, ups)
    assert " checks ran, 0 failed" in verified
    assert_sizes(there, name)
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
