"""All roles in order, for pyinfra's own command line (see ops/hosts/inventory.py): what a run would change.

pyinfra carries each operation out on all hosts at the same moment. A real run from here would restart every member of
a cluster together, without the hosts' lock and without the roles' work on the cluster as a whole. It is refused.
"""

from __future__ import annotations

from pyinfra import host
from pyinfra.api.exceptions import PyinfraError

from roles.kit.engine import converge
from roles.kit.turns import Turns
from roles.order import of_stage

if not host.data.keel_dry:
    environment = next(iter(host.data.keel_targets.values())).manifest.identity.name
    raise PyinfraError(
        "roles/deploy.py shows what would change and carries nothing out: give --dry. Nothing was changed. "
        f"To bring the hosts to what the roles declare: ./keel -e {environment} converge"
    )

for stage, target in host.data.keel_targets.items():
    converge([role for role in of_stage(stage) if role.runs_on(target.host)], target, lambda _: None, Turns())
