"""What is on the machine, to compare before and after."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

from ops.docker import docker


@dataclass(frozen=True)
class Inventory:
    """Names of everything an environment could leave behind."""

    containers: frozenset[str]
    volumes: frozenset[str]
    networks: frozenset[str]
    images: frozenset[str]
    files: frozenset[str]

    def added(self, before: Inventory) -> dict[str, set[str]]:
        """Kind → what is here and was not there before; empty when nothing was left."""
        found = {item.name: set(getattr(self, item.name) - getattr(before, item.name)) for item in fields(self)}
        return {kind: names for kind, names in found.items() if names}


def take_inventory() -> Inventory:
    """Everything there is now."""
    folders = (Path(tempfile.gettempdir()), Path("/dev/shm"))
    return Inventory(
        containers=_listed("ps", "-a", "--format", "{{.Names}}"),
        volumes=_listed("volume", "ls", "--format", "{{.Name}}"),
        networks=_listed("network", "ls", "--format", "{{.Name}}"),
        images=_listed("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"),
        files=frozenset(str(p) for folder in folders for p in folder.glob("keel-*")),
    )


def _listed(*arguments: str) -> frozenset[str]:
    return frozenset(docker(*arguments).splitlines())
