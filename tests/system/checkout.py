"""A copy of this checkout, in which commands run as a person or a pipeline types them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from environment.kind import ROOT
from tests.system.environments import COMMAND

FOREIGN = ("KEEL_PROJECT", "PULUMI_CONFIG_PASSPHRASE", "PYTHONPATH", "ENV")
"""What the shell of a product engineer does not have."""


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
