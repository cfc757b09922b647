"""All roles in order, for pyinfra's own command line (see ops/hosts/inventory.py)."""

from __future__ import annotations

from pyinfra import host

from roles.kit.engine import converge
from roles.order import of_stage

for stage, target in host.data.keel_targets.items():
    converge([role for role in of_stage(stage) if role.runs_on(target.host)], target, lambda _: None)
