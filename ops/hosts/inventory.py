"""An environment as a pyinfra inventory, for pyinfra's own command line:

    make shell
    ENV=dev pyinfra ops/hosts/inventory.py roles/deploy.py --dry

The session behind it lives as long as pyinfra does. Facts and commands may be asked for as of any inventory; the
roles are only shown, by a dry run (see roles/deploy.py).
"""

from __future__ import annotations

import atexit
import os
from contextlib import ExitStack

import click
from pyinfra.api.exceptions import PyinfraError

from environment.errors import KeelError
from environment.manifest import Manifest
from environment.roles import sections, stages
from ops.hosts.connection import connection
from ops.hosts.environment import open_environment
from roles.kit.declare import Target

_stack = ExitStack()
atexit.register(_stack.close)
try:
    _session = _stack.enter_context(open_environment(os.environ.get("ENV", "dev")))
except KeelError as error:
    raise PyinfraError(str(error)) from None

# pyinfra tells deploy code neither its options nor that it only prepares; its command line is click's.
_command_line = click.get_current_context(silent=True)
_dry = bool(_command_line and _command_line.params.get("dry"))


def _targets(host: str) -> dict[str, Target]:
    """Stage → the host as that stage's roles may see it."""
    manifest = _session.manifest
    return {
        stage: Target(Manifest.from_slice(manifest.slice(sections(stage))), manifest.host(host), _session.roots)
        for stage in stages()
    }


hosts = [
    (host.name, {**connection(_session, host), "keel_targets": _targets(host.name), "keel_dry": _dry})
    for host in _session.manifest.hosts
]
