"""What Docker runs of an environment, compared with what Pulumi's state records that it asked for. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from environment.names import LABEL
from ops.hosts.docker import docker, inspect
from ops.state import stack
from ops.state.docker_diff import COMMAND, differences


def look(environment: str) -> list[str]:
    """A sentence for each container, volume and network that is missing, different or not recorded. Raises PulumiFailed, DockerFailed."""
    recorded = [each for each in stack.resources(stack.read(environment)) if each["type"] in COMMAND]
    found = [line for each in recorded for line in _differs(each["type"], each["inputs"])]
    return sorted([*found, *_others(environment, {each["inputs"]["name"] for each in recorded})])


def _differs(kind: str, asked: dict[str, object]) -> Iterator[str]:
    there, what = inspect(COMMAND[kind], str(asked["name"])), f"{COMMAND[kind]} {asked['name']}"
    if there is None:
        yield f"{what} is missing"
        return
    for name, (found, wanted) in differences(kind, there, asked).items():
        yield f"{what}: {name} {found} instead of {wanted}"


def _others(environment: str, recorded: set[str]) -> Iterator[str]:
    for kind, listing in (
        ("container", ("ps", "-a", "--format", "{{.Names}}")),
        ("volume", ("volume", "ls", "--format", "{{.Name}}")),
        ("network", ("network", "ls", "--format", "{{.Name}}")),
    ):
        for name in docker(*listing, "--filter", f"label={LABEL}={environment}").split():
            if name not in recorded:
                yield f"{kind} {name} is not in Pulumi's state: `docker {kind} rm {name}`"
