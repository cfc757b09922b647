"""What Docker runs of an environment, compared with what Pulumi's state records that it asked for. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from environment.names import LABEL, network
from ops.hosts.docker import aliases, docker, inspect
from ops.state import stack
from ops.state.docker_diff import COMMAND, differences


def look(environment: str) -> list[str]:
    """A sentence for each container, volume and network that is missing, different or not recorded. Raises PulumiFailed, DockerFailed."""
    resources = stack.resources(stack.read(environment))
    recorded = [each for each in resources if each["type"] in COMMAND]
    found = [line for each in recorded for line in _differs(each["type"], each["inputs"])]
    gates = [each["inputs"] for each in resources if each.get("inputs", {}).get("action") == "ready"]
    called = [line for gate in gates for line in _is_not_called(environment, gate)]
    return sorted([*found, *called, *_others(environment, {each["inputs"]["name"] for each in recorded})])


def _differs(kind: str, asked: dict[str, object]) -> Iterator[str]:
    there, what = inspect(COMMAND[kind], str(asked["name"])), f"{COMMAND[kind]} {asked['name']}"
    if there is None:
        yield f"{what} is missing"
        return
    for name, (found, wanted) in differences(kind, there, asked).items():
        yield f"{what}: {name} {found} instead of {wanted}"


def _is_not_called(environment: str, gate: dict[str, Any]) -> Iterator[str]:
    """What the step `ready` gave a container, and what it has."""
    name, wanted = gate["container_name"], set(gate.get("aliases") or ())
    there = aliases(name, network(environment))
    if there is not None and there != wanted:  # one that has left its network has other addresses too
        yield f"container {name}: found in its network as {_listed(there)} instead of {_listed(wanted)}"


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _others(environment: str, recorded: set[str]) -> Iterator[str]:
    for kind, listing in (
        ("container", ("ps", "-a", "--format", "{{.Names}}")),
        ("volume", ("volume", "ls", "--format", "{{.Name}}")),
        ("network", ("network", "ls", "--format", "{{.Name}}")),
    ):
        for name in docker(*listing, "--filter", f"label={LABEL}={environment}").split():
            if name not in recorded:
                yield f"{kind} {name} is not in Pulumi's state: `docker {kind} rm {name}`"
