"""What somebody changed by hand is seen by a refresh, named with host and operation, and repaired by the next up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.hosts.docker import docker
from ops.hosts.session import Session
from tests.system.by_hand import by_hand
from tests.system.environments import Ephemeral

HAND_MADE = {
    "a managed file": (
        "edge1",
        "echo '# by hand' >> /etc/haproxy/haproxy.cfg",
        "edge1: haproxy: file /etc/haproxy/haproxy.cfg",
    ),
    "a file's mode": ("db1", "chmod 644 /etc/patroni/config.yml", "db1: postgres: file /etc/patroni/config.yml"),
    "a stopped unit": (
        "edge1",
        "systemctl stop redis-server.service",
        "edge1: redis: unit redis-server.service running",
    ),
    "a disabled unit": ("edge1", "systemctl disable --quiet cron.service", "edge1: base: unit cron.service enabled"),
    "an effective setting": (
        "db2",
        "psql -U postgres -Xqc 'alter system set work_mem to 12345' -c 'select pg_reload_conf()'",
        "db2: postgres: postgresql.auto.conf (work_mem)",
    ),
    "a line in the server's file": (
        "db1",
        """echo 'deadlock_timeout = 3s' >> "$(psql -U postgres -XAtc 'show config_file')" && psql -U postgres -Xqc 'select pg_reload_conf()'""",
        "db1: postgres: postgresql.conf (deadlock_timeout)",
    ),
}


@pytest.fixture(scope="module")
def changed(dev: Ephemeral) -> Iterator[str]:
    """The environment with every hand-made change in it and a host that is stopped; yields what a preview with refresh says of it."""
    with dev.session() as session:
        for host, command, _ in HAND_MADE.values():
            session.run(host, command)
        with by_hand(session, "jeex_idea") as connection:
            connection.execute("alter table projects disable row level security")
    docker("stop", "-t", "5", dev.container("ops1"))
    shown = dev.pulumi("preview", "--refresh", "--expect-no-changes", "--diff", check=False)
    assert shown.returncode != 0
    yield shown.stdout + shown.stderr


@pytest.mark.parametrize("what", HAND_MADE)
def test_a_preview_names_host_and_operation(changed: str, what: str) -> None:
    """PLAT-03: configuration comes from code; anything else shows."""
    assert HAND_MADE[what][2] in changed


def test_a_preview_sees_a_changed_database(changed: str) -> None:
    """PLAT-15, JEEX-26: row-level security switched off by hand is drift."""
    assert "jeex_idea: " in changed and "projects" in changed


def test_a_preview_tells_an_unreachable_host(changed: str) -> None:
    """PLAT-48: and what is wrong on the others all the same."""
    assert "ops1: unreachable" in changed


def test_up_with_refresh_repairs_all_of_it(dev: Ephemeral, environment: Session, changed: str) -> None:
    """PLAT-48: afterwards nothing is out of place, the setting is effective again, and the stopped host was started, not made anew."""
    before = docker("inspect", "-f", "{{.Id}}", dev.container("ops1"))
    dev.up("--refresh")
    assert docker("inspect", "-f", "{{.Id}}", dev.container("ops1")) == before
    dev.pulumi("preview", "--refresh", "--expect-no-changes")
    value = environment.run("db2", "psql -U postgres -XAtc 'show work_mem'").strip()
    assert value == f"{environment.manifest.postgres.work_mem}MB"
