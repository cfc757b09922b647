"""Pulumi's stack of an environment, through its command: whether it is free, and what its state holds."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from environment import unfinished
from environment.errors import UNCHANGED, KeelError
from environment.load import PROJECT
from processes import pulumi_engine

HELD = re.compile(r"created by (?P<username>.+)@(?P<hostname>\S+) \(pid (?P<pid>\d+)\) at (?P<timestamp>\S+)")
"""How Pulumi says who has a lock (pkg/backend/diy/lock.go)."""


class Busy(KeelError):
    """Another controller is at work on this environment."""


class PulumiFailed(KeelError):
    """A pulumi command failed: which one and what it said."""


def pulumi(*arguments: str, given: str | None = None, backend: Path | None = None) -> str:
    """Standard output of ``pulumi <arguments>`` in the project, with the state in the folder ``backend`` where one is
    given. Raises PulumiFailed."""
    variables = {**os.environ, "PULUMI_BACKEND_URL": f"file://{backend}"} if backend else None
    done = subprocess.run(
        ["pulumi", *arguments, "--non-interactive"],
        cwd=PROJECT, env=variables, capture_output=True, text=True, input=given,
    )  # fmt: skip
    if done.returncode:
        raise PulumiFailed(f"pulumi {' '.join(arguments[:2])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def take(environment: str) -> Iterable[str]:
    """Select the stack, made where there is none, and remove locks of runs that were killed; yields who these were.

    Raises Busy when a living process holds its lock, or one on another machine.
    """
    _remove_torn_attributes()
    pulumi("stack", "select", "--create", environment)
    for owner in killed(environment):
        yield owner
        pulumi("cancel", "--yes", "-s", environment)


def killed(environment: str) -> Iterable[str]:
    """Who holds a lock of the stack and is gone. Raises Busy as :func:`take`."""
    folder = unfinished.backend()
    for lock in _asked(environment) if folder is None else _locks(folder, environment):
        owner = f"{lock['username']}@{lock['hostname']} (process {lock['pid']}) since {lock['timestamp']}"
        ours = lock["hostname"] == socket.gethostname() and not pulumi_engine.runs(int(lock["pid"]), "pulumi")
        # Who shares a state that is elsewhere may have the same name as this machine, and other processes.
        if not ours or (folder is None and not _was_here(environment, lock)):
            raise Busy(
                f"{environment} is being changed by {owner}",
                UNCHANGED,
                f"Run again when it is done. If that process is gone: pulumi cancel -s {environment}",
            )
        yield owner


def names() -> set[str]:
    """Every stack of this project that the backend has."""
    return {str(found["name"]).rpartition("/")[2] for found in json.loads(pulumi("stack", "ls", "--json"))}


def delete(environment: str) -> None:
    """Remove the stack with its history, and what Keel wrote next to its state; what it made must be gone. Its file stays."""
    _remove_torn_attributes()
    for _ in killed(environment):
        pulumi("cancel", "--yes", "-s", environment)
    pulumi("stack", "rm", "--yes", "--force", "--preserve-config", "--remove-backups", "-s", environment)
    unfinished.verified(environment)
    folder = unfinished.backend()
    for left in (
        [*folder.glob(f".pulumi/*/*/{environment}"), *folder.glob(f".pulumi/*/*/*/{environment}")] if folder else ()
    ):
        with suppress(OSError):
            left.rmdir()  # Pulumi emptied its own; another project's stack of that name is not empty


def read(environment: str, backend: Path | None = None) -> dict[str, Any]:
    """The state as `pulumi stack export` gives it, secrets encrypted."""
    state: dict[str, Any] = json.loads(pulumi("stack", "export", "-s", environment, backend=backend))
    return state


def write(environment: str, state: dict[str, Any], backend: Path | None = None) -> None:
    """Put ``state`` in place of the one there is, at once; secrets given in plaintext are encrypted."""
    pulumi("stack", "import", "-s", environment, given=json.dumps(state), backend=backend)


def resources(state: dict[str, Any]) -> list[dict[str, Any]]:
    """What the state records; empty for a new or a lost one."""
    return (state.get("deployment") or {}).get("resources") or []


def forget(resources: list[dict[str, Any]], urns: set[str]) -> None:
    """Take resources out of the state, and out of what others depend on."""
    resources[:] = [resource for resource in resources if resource["urn"] not in urns]
    for resource in resources:
        if "dependencies" in resource:
            resource["dependencies"] = [urn for urn in resource["dependencies"] if urn not in urns]
        for name, found in (resource.get("propertyDependencies") or {}).items():
            resource["propertyDependencies"][name] = [urn for urn in found or [] if urn not in urns]


def _remove_torn_attributes() -> None:
    """Remove attributes that a killed Pulumi wrote in part.

    Pulumi replaces a state at once, but writes the file of its attributes next to it in place. Where that is empty, each of
    its commands fails with `failed to load checkpoint: EOF`; without it the state is read all the same (tried with 3.259.0).
    """
    folder = unfinished.backend()
    for kind in ("stacks", "locks"):
        for path in folder.glob(f".pulumi/{kind}/**/*.attrs") if folder else ():
            try:
                json.loads(path.read_text())
            except ValueError:
                path.unlink()
            except FileNotFoundError:  # a lock of another environment that was just released
                continue


def _locks(folder: Path, environment: str) -> Iterable[dict[str, Any]]:
    """Of this project's stack: others may have one of that name in the same folder."""
    project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["name"]
    for path in folder.glob(f".pulumi/locks/organization/{project}/{environment}/*.json"):
        yield json.loads(path.read_text())


def _asked(environment: str) -> list[dict[str, Any]]:
    """The same where the state is elsewhere, from what Pulumi says. It is asked only after an engine of this checkout was killed: to look
    takes the lock for a moment, and whose another lock is Pulumi says by itself when it is to change something."""
    if not pulumi_engine.ended_here(unfinished.engine(environment)):
        return []
    try:  # to its own name: Pulumi looks for locks, and then says that the name is taken
        pulumi("stack", "rename", environment, "-s", environment)
    except PulumiFailed as error:
        return [found.groupdict() for found in HELD.finditer(str(error))]
    return []


def _was_here(environment: str, lock: dict[str, Any]) -> bool:
    at = datetime.fromisoformat(lock["timestamp"]).timestamp()
    return pulumi_engine.was(unfinished.engine(environment), int(lock["pid"]), at)
