"""An environment per pull request: the real commands, in a checkout of their own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from environment.kind import ROOT
from ops.hosts.docker import docker
from ops.state import slots
from tests.system.environments import COMMAND, Ephemeral, remove_leftovers
from tests.system.inventory import leftovers

FOREIGN = ("KEEL_PROJECT", "PULUMI_CONFIG_PASSPHRASE", "PYTHONPATH", "ENV")
"""What the shell of a product engineer does not have."""
HOSTS_ALONE = " --target ".join(
    ("--yes --skip-preview", "**keel:host:**", "**keel:HostImage**", "**keel:Drain**", "**docker:index/**")
)
"""Flags of an `up` that ends early: containers, volumes and a network, in seconds."""


class Checkout:
    """A copy of this checkout, with a state of its own, in which commands run as a person types them."""

    def __init__(self, folder: Path) -> None:
        self.root, self.state = folder / "checkout", folder / "state"
        self.state.mkdir()
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
            if name and (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        own = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self.variables = {**own, "PULUMI_BACKEND_URL": f"file://{self.state}"}

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A command without a terminal, so that a question would end it."""
        return subprocess.Popen(
            command, cwd=self.root, env=self.variables, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *command: str) -> str:
        """What a command says that ends well."""
        return ended(self.start(*command))

    def listed(self) -> dict[str, dict[str, Any]]:
        """`./keel env list --json`, by name."""
        return {found["name"]: found for found in json.loads(self.run("./keel", "env", "list", "--json"))}

    @property
    def files(self) -> set[str]:
        """Every file of the checkout and the state, apart from what Python and Pulumi keep for any environment."""
        found = (path.relative_to(self.root.parent) for path in self.root.parent.rglob("*") if path.is_file())
        return {str(path) for path in found if "__pycache__" not in path.parts and "meta.yaml" not in path.name}


def ended(process: subprocess.Popen[str]) -> str:
    """What it said. AssertionError where it failed."""
    said, _ = process.communicate(timeout=COMMAND)
    assert process.returncode == 0, said[-6000:]
    return said


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
