"""The steps by name, so that Pulumi's tree says what each resource is."""

from __future__ import annotations

import pulumi

from components.step import Step


class HostImage(Step, name="HostImage", module="keel"):
    """The image every container host starts from."""

    image: pulumi.Output[str]


class Leave(Step, name="Leave", module="keel"):
    """The first: refuses what a running environment does not take, and takes hosts that leave out of everything they share."""


class Drain(Step, name="Drain", module="keel"):
    """Runs before a host is taken away: moves the leader, refuses while another member is unhealthy."""


class Ready(Step, name="Ready", module="keel"):
    """Runs after a host came: waits for SSH, and after a replacement for its services."""


class Converge(Step, name="Converge", module="keel"):
    """One stage of roles on every host."""


class Recovery(Step, name="Recovery", module="keel"):
    """Runs before any database starts: distinguishes a new cluster from a lost one, which it brings back only when ordered."""


class Databases(Step, name="Databases", module="keel"):
    """Roles, databases and extensions."""


class Migration(Step, name="Migration", module="keel"):
    """One product at its Alembic head, with its policies, grants and functions; then its application is admitted."""


class Verification(Step, name="Verification", module="keel"):
    """The last resource: the environment is what it should be, or the update fails."""
