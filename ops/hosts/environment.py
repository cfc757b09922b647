"""Open an environment by its name: its stack file, its roots, and a session with its hosts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from environment.errors import KeelError
from environment.load import NAMESPACE, PROJECT, SECRET_KEYS, STACKS, parse, read_stack_file, stack_file
from environment.manifest import HostEntry, Manifest, build
from environment.names import passphrase_variable
from environment.program import Environment, load
from environment.settings import Settings
from ops.hosts.session import Session, open_session

NO_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""The form of a public host key, which no host has: its 32 bytes are zero."""

PROBE_TIMEOUT = 3.0
"""Seconds a host's SSH port may take to answer; all hosts are asked at the same time."""


class UnknownEnvironment(KeelError):
    """There is no stack file of that name: the name, and those there are."""


class NotUp(KeelError):
    """No host of the environment answers: where they were sought, and how it is started."""


class SecretsUnavailable(KeelError):
    """The stack file holds encrypted roots and Pulumi could not decrypt them: what it said, what to do."""


def load_environment(name: str) -> Environment:
    """Settings, manifest and roots of ``name``. Raises UnknownEnvironment, InvalidStack, RefusedRoots or
    SecretsUnavailable.

    Pulumi is asked only where the stack file holds an encrypted root: dev and ci do without.
    """
    config = _config(name)
    if any(isinstance(config.get(NAMESPACE + key), dict) for key in SECRET_KEYS):
        config |= _decrypted(name)
    return load(name, config)


def load_settings(name: str) -> Settings:
    """The settings alone, for which no secret is needed. Raises UnknownEnvironment or InvalidStack."""
    return parse(_config(name), f"stacks/Pulumi.{name}.yaml")


def load_layout(name: str) -> Manifest:
    """Hosts, services and products of ``name``; for this no secret is needed. Containers carry no host key here, for theirs
    derives from a secret: it opens no session. Raises UnknownEnvironment or InvalidStack."""
    settings = load_settings(name)
    return build(name, settings, dict.fromkeys(settings.hosts, NO_KEY))


@contextmanager
def open_environment(name: str) -> Iterator[Session]:
    """A session with the hosts of ``name``. Raises as :func:`load_environment`, and NotUp when no host answers."""
    environment = load_environment(name)
    _check_up(environment.manifest)
    with open_session(environment.manifest, environment.roots) as session:
        yield session


def _config(name: str) -> dict[str, Any]:
    known = sorted(path.name.split(".")[1] for path in STACKS.glob("Pulumi.*.yaml"))
    if name not in known:
        raise UnknownEnvironment(f"there is no environment {name!r} in {STACKS}; there are {', '.join(known)}")
    return read_stack_file(stack_file(name))


def _check_up(manifest: Manifest) -> None:
    with ThreadPoolExecutor(len(manifest.hosts)) as pool:
        if any(pool.map(_listens, manifest.hosts)):
            return
    name = manifest.identity.name
    sought = ", ".join(f"{host.name} on {host.ssh.hostname}:{host.ssh.port}" for host in manifest.hosts)
    raise NotUp(f"{name} is not up: none of its hosts answers ({sought})", advice=f"Start it: make up ENV={name}")


def _listens(host: HostEntry) -> bool:
    try:
        socket.create_connection((host.ssh.hostname, host.ssh.port), PROBE_TIMEOUT).close()
    except OSError:
        return False
    return True


def _decrypted(name: str) -> dict[str, Any]:
    # Two environments at once (clone) may have different passphrases; Pulumi's variable holds one.
    own = os.environ.get(passphrase_variable(name))
    variables = os.environ | ({"PULUMI_CONFIG_PASSPHRASE": own} if own else {})
    command = ["pulumi", "config", "--show-secrets", "--json", "--non-interactive", "-s", name]
    try:
        done = subprocess.run(
            command, cwd=PROJECT, env=variables, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise SecretsUnavailable(
            f"the root secrets of {name} are encrypted and `pulumi` is not on PATH",
            advice="Run tools/setup, then again",
        ) from None
    if done.returncode:
        raise SecretsUnavailable(
            f"the root secrets of {name} cannot be decrypted: {done.stderr.strip()}",
            advice="Set PULUMI_CONFIG_PASSPHRASE (or PULUMI_CONFIG_PASSPHRASE_FILE) to the stack's passphrase, then run again; "
            f"for this environment alone: {passphrase_variable(name)}",
        )
    secrets = {NAMESPACE + key for key in SECRET_KEYS}
    return {key: entry["value"] for key, entry in json.loads(done.stdout).items() if key in secrets}
