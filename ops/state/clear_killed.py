"""What `make up` does before `pulumi up`: clear away what a killed run left, and nothing else.

    python -m ops.state.clear_killed ENVIRONMENT [--discard]

A dead run's lock is recognised by its process; its pending operations are dropped (every step can be carried out again);
containers and networks that carry the environment's label but are not in the state were made and never recorded, and are
removed: data is on volumes, which Docker hands out again under their names.

With --discard, `make down` of dev and ci also removes what is recorded, at once. Pulumi takes host after host: the backup host
goes first, and PostgreSQL's shutdown then waits for an archive that is gone until the container is killed after 60 s; the
last members wait for etcd's majority; and the provider waits 2 s for each volume. For data that is thrown away nothing of
that is worth its time.
"""

from __future__ import annotations

import sys
from collections.abc import Container
from typing import Any

from environment.errors import UNCHANGED, KeelError
from environment.load import InvalidStack, read_stack_file, stack_file
from environment.names import LABEL
from ops.hosts.docker import DockerFailed, docker
from ops.hosts.environment import load_settings
from ops.state import stack
from ops.state.docker_diff import CONTAINER, NETWORK, VOLUME
from processes.command import carry_out


class Unrecorded(KeelError):
    """Containers of this environment run, and the state knows none of them: another backend, or a lost state."""


def main(environment: str, *, discard: bool = False) -> None:
    """Make the stack ready for `pulumi up`, or with ``discard`` for the end of a `pulumi destroy`. Raises Busy when a living
    process holds its lock, and InvalidStack where there is no stack file: Pulumi would begin one."""
    if not stack_file(environment).exists():
        read_stack_file(stack_file(environment))
    for owner in stack.take(environment):
        print(f"{environment}: the run of {owner} was killed; its lock is removed", flush=True)
    state = stack.read(environment)
    interrupted = (state.get("deployment") or {}).pop("pending_operations", None)
    if interrupted:
        print(f"{environment}: operations that were interrupted are carried out again", flush=True)
        stack.write(environment, state)
    _remove_unrecorded(environment, stack.resources(state), bool(interrupted))
    if discard and not any(r.get("retainOnDelete") or r.get("protect") for r in stack.resources(state)):
        _discard(environment, state)
    else:
        _notice_missing(environment, state)


def _remove_unrecorded(environment: str, resources: list[dict[str, Any]], interrupted: bool) -> None:
    """Raise Unrecorded where the state knows no container and no run was killed on its way to one (an `up` with a lost
    state records the rest before it fails)."""
    recorded = {resource.get("id") for resource in resources}
    try:
        containers = docker("ps", "-aq", "--no-trunc", "--filter", f"label={LABEL}={environment}").split()
        networks = docker("network", "ls", "-q", "--no-trunc", "--filter", f"label={LABEL}={environment}").split()
    except DockerFailed:
        return  # no engine: no containers
    if containers and not recorded & set(containers) and not (resources and interrupted):
        raise Unrecorded(
            f"{environment} has {len(containers)} container(s) here, and Pulumi's state knows none of them",
            UNCHANGED,
            (
                "If the state is elsewhere, name its backend (Pulumi.yaml or PULUMI_BACKEND_URL). If it is "
                f"lost, `./keel --env {environment} adopt` records what runs; then run again. If you do not need the "
                "containers, remove them and run again (data stays on the volumes): docker rm -f $(docker ps -aq --filter "
                f"label={LABEL}={environment})"
            ),
        )
    for container in [c for c in containers if c not in recorded]:
        name = docker("inspect", "-f", "{{.Name}}", container).lstrip("/")
        print(
            f"{environment}: container {name} was created but not recorded; it is created again (its data stays)",
            flush=True,
        )
        docker("rm", "-f", container)
    for network in [n for n in networks if n not in recorded]:
        print(f"{environment}: network {network[:12]} was created but not recorded; it is created again", flush=True)
        docker("network", "rm", network)


def _notice_missing(environment: str, state: dict[str, Any]) -> None:
    """Start recorded containers that were stopped, and let the state forget what is gone, so that `up` creates it again.

    A refresh would do that too, but it fails where a volume has vanished: after a disaster.
    """
    resources = stack.resources(state)
    recorded = _recorded(resources)
    if not recorded:
        return
    states = {item: state for kind in LISTINGS for item, state in _there(environment, kind).items()}
    for container in [c for c in recorded if states.get(c) in ("created", "exited")]:
        if _leaves(environment, _name(recorded[container])):
            continue
        print(f"{environment}: a stopped container is started: {_name(recorded[container])}", flush=True)
        try:
            docker("start", container)
        except DockerFailed as error:  # its port may be another's now, until this one is made anew
            print(f"{environment}: it does not start, and is left to the update: {error}", flush=True)
    gone = [resource for found, resource in recorded.items() if found not in states]
    if gone:
        names = ", ".join(map(_name, gone))
        print(f"{environment}: what is gone is created again (data is on volumes): {names}", flush=True)
        stack.forget(resources, {resource["urn"] for resource in gone})
        stack.write(environment, state)


def _leaves(environment: str, host: str) -> bool:
    """True if the stack file has no such host any more: the update stopped it and removes it."""
    try:
        return host not in load_settings(environment).hosts
    except InvalidStack:  # the update will say so; an environment is removed all the same
        return False


def _discard(environment: str, state: dict[str, Any]) -> None:
    """Remove containers, volumes and networks that the state records, without a stop, and let the state forget them."""
    resources = stack.resources(state)
    recorded = _recorded(resources)
    if not recorded:
        return
    take_away(environment, recorded)
    stack.forget(resources, {resource["urn"] for resource in recorded.values()})
    stack.write(environment, state)


def take_away(environment: str, only: Container[str] | None = None) -> None:
    """Remove what Docker has of the environment, or ``only`` some ids of it, without a stop."""
    for kind, removal in REMOVALS.items():
        found = [item for item in _there(environment, kind) if only is None or item in only]
        if kind == NETWORK:
            _see_out(environment, found)
        if found:
            docker(*removal, *found)


def _see_out(environment: str, networks: list[str]) -> None:
    """Containers of applications leave a network that is removed: Docker removes none in which there is one."""
    for network in networks:
        for guest in docker("network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{end}}", network).split():
            print(
                f"{environment}: the container {guest}, which is not Keel's, leaves its network and stays", flush=True
            )
            docker("network", "disconnect", "--force", network, guest)


def _recorded(resources: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Docker's id → resource, of what the state records."""
    return {r["id"]: r for r in resources if r["type"] in LISTINGS and "id" in r}


def _there(environment: str, kind: str) -> dict[str, str]:
    """Docker's id → state, of what there is of one type."""
    listing = LISTINGS[kind]
    listed = docker(*listing[:-1], "--filter", f"label={LABEL}={environment}", "--format", listing[-1])
    return {line.split()[0]: line.split()[-1] for line in listed.splitlines()}


LISTINGS = {
    CONTAINER: ("ps", "-a", "--no-trunc", "{{.ID}} {{.State}}"),
    VOLUME: ("volume", "ls", "{{.Name}}"),
    NETWORK: ("network", "ls", "--no-trunc", "{{.ID}}"),
}
"""Type in the state → docker's arguments that list what there is, the format last."""
REMOVALS = {
    CONTAINER: ("rm", "-fv"),
    VOLUME: ("volume", "rm"),
    NETWORK: ("network", "rm"),
}
"""Type in the state → docker's arguments that remove it, in an order in which nothing is in use any more."""


def _name(resource: dict[str, Any]) -> str:
    return str(resource["urn"]).rpartition("::")[2]


if __name__ == "__main__":
    carry_out(lambda: main(sys.argv[1], discard="--discard" in sys.argv))
