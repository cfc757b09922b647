"""The roles by name; their order is `roles/stages.yaml`."""

from __future__ import annotations

from environment.roles import stages
from roles.base.role import Base
from roles.etcd.role import Etcd
from roles.firewall.role import Firewall
from roles.haproxy.role import Haproxy
from roles.jobs.role import Jobs
from roles.kit.declare import Role
from roles.logins.role import Logins
from roles.pgbackrest.role import Pgbackrest
from roles.pgbouncer.role import Pgbouncer
from roles.pki.role import Pki
from roles.postgres.role import Postgres
from roles.programs.role import Programs
from roles.redis.role import Redis

ROLES: dict[str, Role] = {
    role.name: role
    for role in (
        Base(),
        Firewall(),
        Pki(),
        Etcd(),
        Programs(),
        Pgbackrest(),
        Postgres(),
        Haproxy(),
        Pgbouncer(),
        Redis(),
        Logins(),
        Jobs(),
    )
}


def of_stage(stage: str) -> tuple[Role, ...]:
    """The roles of ``stage``, in order."""
    return tuple(ROLES[name] for name in stages()[stage])
