"""An environment as a pyinfra inventory, for pyinfra's own command line:

    make shell
    ENV=dev pyinfra ops/hosts/inventory.py roles/deploy.py --dry

The session behind it lives as long as pyinfra does.
"""

from __future__ import annotations

import atexit
import os
from contextlib import ExitStack

from environment.manifest import Manifest
from environment.roles import sections, stages
from ops.hosts.connection import connection
from ops.hosts.environment import open_environment
from roles.kit.declare import Target

_stack = ExitStack()
atexit.register(_stack.close)
_session = _stack.enter_context(open_environment(os.environ.get("ENV", "dev")))


def _targets(host: str) -> dict[str, Target]:
    """Stage → the host as that stage's roles may see it."""
    manifest = _session.manifest
    return {
        stage: Target(Manifest.from_slice(manifest.slice(sections(stage))), manifest.host(host), _session.roots)
        for stage in stages()
    }


hosts = [
    (host.name, {**connection(_session, host), "keel_targets": _targets(host.name)}) for host in _session.manifest.hosts
]
