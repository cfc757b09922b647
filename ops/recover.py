"""What `make up` does before `pulumi up`: clear away what a killed run left, and nothing else.

    python -m ops.recover ENVIRONMENT

A dead run's lock is recognised by its process; its pending operations are dropped (every step can be carried out again);
containers and networks that carry the environment's label but are not in the state were made and never recorded, and are
removed: data lies on volumes, which Docker hands out again under their names.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import yaml

from environment import lifeline
from environment.load import PROJECT
from ops.docker import DockerFailed, docker

LABEL = "keel.environment"


class Busy(Exception):
    """Another controller is at work on this environment."""


class Unrecorded(Exception):
    """Containers of this environment run, and the state is empty: another backend, or a lost state."""


def main(environment: str) -> None:
    """Make the stack ready for `pulumi up`. Raises Busy when a living process holds its lock."""
    _pulumi("stack", "select", "--create", environment)
    for lock in _locks(environment):
        owner = f"{lock['username']}@{lock['hostname']} (process {lock['pid']}) since {lock['timestamp']}"
        if lock["hostname"] != socket.gethostname() or _alive(int(lock["pid"])):
            raise Busy(f"{environment} is being changed by {owner}. Nothing was changed; run again when it is done.")
        print(f"{environment}: the run of {owner} was killed; its lock is removed", flush=True)
        _pulumi("cancel", "--yes", "-s", environment)
    state = json.loads(_pulumi("stack", "export", "-s", environment))
    deployment = state.get("deployment") or {}
    if deployment.pop("pending_operations", None):
        print(f"{environment}: operations that were interrupted are carried out again", flush=True)
        _pulumi("stack", "import", "-s", environment, given=json.dumps(state))
    resources = deployment.get("resources") or []
    _remove_unrecorded(environment, resources)
    _notice_missing(environment, resources)


def _locks(environment: str) -> Iterable[dict[str, Any]]:
    folder = _backend()
    if folder is not None:
        for path in folder.glob(f".pulumi/locks/**/{environment}/*.json"):
            yield json.loads(path.read_text())


def _backend() -> Path | None:
    """Folder of a file backend, None for any other."""
    url = (
        os.environ.get("PULUMI_BACKEND_URL") or yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["backend"]["url"]
    )
    parsed = urlparse(url)
    return Path(parsed.netloc + parsed.path).expanduser() if parsed.scheme == "file" else None


def _alive(pid: int) -> bool:
    return lifeline.runs(pid, "pulumi")


def _remove_unrecorded(environment: str, resources: list[dict[str, Any]]) -> None:
    recorded = {resource.get("id") for resource in resources}
    try:
        containers = docker("ps", "-aq", "--no-trunc", "--filter", f"label={LABEL}={environment}").split()
        networks = docker("network", "ls", "-q", "--no-trunc", "--filter", f"label={LABEL}={environment}").split()
    except DockerFailed:
        return  # no engine: no containers
    if containers and not resources:
        raise Unrecorded(
            f"{environment} has {len(containers)} container(s) here, but Pulumi's state knows nothing of it. Nothing was "
            "changed. Bring the state back (the backend in Pulumi.yaml or PULUMI_BACKEND_URL), or remove the containers "
            f"yourself and run again; their data stays on the volumes: docker rm -f $(docker ps -aq --filter label={LABEL}={environment})"
        )
    for container in [c for c in containers if c not in recorded]:
        name = docker("inspect", "-f", "{{.Name}}", container).lstrip("/")
        print(
            f"{environment}: container {name} was made and not recorded; it is made again (its data stays)", flush=True
        )
        docker("rm", "-f", container)
    for network in [n for n in networks if n not in recorded]:
        print(f"{environment}: network {network[:12]} was made and not recorded; it is made again", flush=True)
        docker("network", "rm", network)


def _notice_missing(environment: str, resources: list[dict[str, Any]]) -> None:
    """Start recorded containers that were stopped, and let the state forget those that are gone, so that `up` makes them."""
    recorded = {r["id"]: r["urn"] for r in resources if r["type"] == "docker:index/container:Container" and "id" in r}
    if not recorded:
        return
    listed = docker(
        "ps", "-a", "--no-trunc", "--filter", f"label={LABEL}={environment}", "--format", "{{.ID}} {{.State}}"
    )
    states = dict(line.split() for line in listed.splitlines())
    for container in [c for c in recorded if states.get(c) in ("created", "exited")]:
        print(f"{environment}: a stopped container is started: {recorded[container].rpartition('::')[2]}", flush=True)
        docker("start", container)
    gone = [urn for container, urn in recorded.items() if container not in states]
    if gone:
        names = ", ".join(urn.rpartition("::")[2] for urn in gone)
        print(f"{environment}: containers that are gone are made again (their data is on volumes): {names}", flush=True)
        targets = [argument for urn in gone for argument in ("--target", urn)]
        _pulumi("refresh", "--yes", "--skip-preview", "-s", environment, *targets)


def _pulumi(*arguments: str, given: str | None = None) -> str:
    done = subprocess.run(
        ["pulumi", *arguments, "--non-interactive"], cwd=PROJECT, capture_output=True, text=True, input=given
    )
    if done.returncode:
        raise RuntimeError(f"pulumi {' '.join(arguments[:2])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (Busy, Unrecorded, RuntimeError, DockerFailed) as error:
        sys.exit(f"error: {error}")
