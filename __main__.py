"""Keel: what `pulumi up` makes, in order."""

import pulumi

from components.hosts import Hosts
from components.outputs import outputs
from components.platform import Platform
from components.volumes import refuse_lost_data
from environment.errors import KeelError
from environment.program import load

# The stack's settings, checked as a whole before anything is made, and what follows from them.
try:
    environment = load(pulumi.get_stack(), pulumi.runtime.config.CONFIG.get())
    refuse_lost_data(environment.manifest)
    # Machines or containers, each reachable by SSH.
    hosts = Hosts(environment.manifest, environment.roots)
except KeelError as refused:
    raise pulumi.RunError(str(refused)) from None

# Roles on them, databases in them, and the proof that all of it is as it should be.
Platform(environment.manifest, hosts, environment.roots)

for name, value in outputs(environment.manifest, environment.roots, environment.settings).items():
    pulumi.export(name, value)
