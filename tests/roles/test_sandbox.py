"""The walls around the services: every one has them, sees its own key pairs only, and writes where it must."""

from __future__ import annotations

import pytest

from roles.kit import sandbox
from roles.kit.declare import Unit
from roles.order import ROLES
from tests.roles.targets import files, manifest_of, placements, target

UNWALLED = {"keel-firewall.service", "keel-hosts.service", "ssh.service", "cron.service"}
"""They set the host up, or are how the controller and the jobs become whoever they must be."""
SERVICES = [
    (stack, role.name, host, unit)
    for stack in ("dev", "ci", "staging")
    for role, host in placements(manifest_of(stack))
    for unit in role.units(target(role, host, manifest_of(stack)))
    if unit.name.endswith(".service") and unit.name not in UNWALLED
]
everywhere = pytest.mark.parametrize(
    ("stack", "role", "host", "unit"),
    SERVICES,
    ids=[f"{stack}-{host}-{unit.name}" for stack, _, host, unit in SERVICES],
)


def walls(role: str, unit: str, stack: str = "dev", host: str | None = None) -> list[str]:
    """The lines of a unit's walls."""
    return files(role, stack, host)[sandbox.path(unit)].content.splitlines()


def after(lines: list[str], name: str) -> set[str]:
    """The values of a directive."""
    return {line.partition("=")[2] for line in lines if line.startswith(f"{name}=")}


@everywhere
def test_every_service_has_walls_and_restarts_with_them(stack: str, role: str, host: str, unit: Unit) -> None:
    """W2."""
    assert set(sandbox.WALLS) <= set(walls(role, unit.name, stack, host))
    assert sandbox.path(unit.name) in unit.restart
    folders = ROLES[role].directories(target(ROLES[role], host, manifest_of(stack)))
    assert sandbox.path(unit.name).rpartition("/")[0] in {folder.path for folder in folders}


@everywhere
def test_a_service_sees_the_key_pairs_of_its_role_alone(stack: str, role: str, host: str, unit: Unit) -> None:
    """W2: the folder of all key pairs is empty but for them. PostgreSQL also archives, with pgBackRest's."""
    lines = walls(role, unit.name, stack, host)
    own = {pair.directory for pair in ROLES[role].certificates(target(ROLES[role], host, manifest_of(stack)))}
    if unit.name == "keel-share-cores.service":  # it connects to nobody
        assert not after(lines, "BindReadOnlyPaths")
        return
    if (
        unit.name == "keel-pgbackrest.service"
        and "User=keel-receiver" in files(role, stack, host)[f"/etc/systemd/system/{unit.name}"].content
    ):
        own -= {"/etc/keel/tls/pgbackrest-to-pgbackrest"}  # with which `postgres` enters database hosts
    seen = {each for each in after(lines, "BindReadOnlyPaths") if each.startswith("/etc/keel/tls")}
    assert "TemporaryFileSystem=/etc/keel/tls:ro" in lines
    assert seen == own | ({"/etc/keel/tls/pgbackrest-to-pgbackrest"} if role == "postgres" else set())


@pytest.mark.parametrize(
    ("role", "unit", "host", "written"),
    [
        ("etcd", "etcd.service", "db1", {"-/var/lib/etcd"}),
        ("haproxy", "haproxy.service", "edge1", set()),
        ("pgbouncer", "pgbouncer.service", "edge1", set()),
        ("logins", "keel-watch-logins.service", "edge1", set()),
        ("redis", "redis-server.service", "edge1", {"-/var/lib/redis"}),
        ("pgbackrest", "keel-pgbackrest.service", "db1", {"-/var/log/pgbackrest", "-/var/spool/pgbackrest"}),
        ("pgbackrest", "keel-pgbackrest.service", "ops1", {"-/var/lib/pgbackrest/generation-1/archive"}),
    ],
)  # fmt: skip
def test_where_a_service_writes(role: str, unit: str, host: str, written: set[str]) -> None:
    """W2: the server beside a database reads the data and writes none of it."""
    assert after(walls(role, unit, host=host), "ReadWritePaths") == written


def test_who_receives_wal_owns_no_backup() -> None:
    """W5: on the backup host the server is an account of its own, which sees of the volume the repository alone, and
    has nothing in the archive when it begins. On a database host it reads the data, as who owns them."""
    unit = "/etc/systemd/system/keel-pgbackrest.service"
    receiving, sending = (files("pgbackrest", host=host)[unit].content.splitlines() for host in ("ops1", "db1"))
    assert after(receiving, "User") == {"keel-receiver"} and after(sending, "User") == {"postgres"}
    assert after(receiving, "ExecStartPre") == {"+-/usr/local/lib/keel/seal-archive"}
    lines = walls("pgbackrest", "keel-pgbackrest.service", host="ops1")
    hidden = after(lines, "InaccessiblePaths")
    assert {"-/etc/keel/backup.json", "-/etc/pgbackrest/second.conf", "-/etc/pgbackrest/scratch.conf"} <= hidden
    assert "TemporaryFileSystem=/var:ro" in lines
    seen = {each for name in ("BindPaths", "BindReadOnlyPaths") for each in after(lines, name) if "/var" in each}
    assert seen == {"-/var/lib/pgbackrest/generation-1", "/var/lib/pgbackrest/generation-1/archive"}


def test_haproxy_is_nobody_in_a_file_system_of_its_own() -> None:
    """W2."""
    unit = files("haproxy")["/etc/systemd/system/haproxy.service.d/keel.conf"].content.splitlines()
    assert {"User=haproxy", "Group=haproxy"} <= set(unit)
    lines = walls("haproxy", "haproxy.service")
    assert "TemporaryFileSystem=/:ro" in lines
    assert lines.index("ProtectSystem=no") > lines.index("ProtectSystem=strict"), (
        "of both, systemd does the latter alone"
    )
    seen = {each for value in after(lines, "BindReadOnlyPaths") for each in value.split()}
    assert not [each for each in seen if each.startswith(("/var", "/root", "/home", "/usr/bin/sh"))]
    assert not {"/", "/etc", "/usr", "/usr/bin", "/run"} & seen
    assert "level admin" not in files("haproxy")["/etc/haproxy/haproxy.cfg"].content


@pytest.mark.parametrize(("stack", "device"), [("dev", False), ("staging", True)])
def test_the_watchdog_is_the_only_device_that_patroni_may_open(stack: str, device: bool) -> None:
    """Design: it is required on machines, and in a container it is the machine's."""
    lines = walls("postgres", "patroni.service", stack)
    assert ("DeviceAllow=/dev/watchdog rw" in lines) is device
    assert ("DevicePolicy=closed" in lines) is device


def test_no_wall_is_taken_down_but_for_a_reason_given_here() -> None:
    """Whoever needs one less adds it, with the reason, in the role and here."""
    known = {
        ("patroni.service", "MemoryDenyWriteExecute=no"),
        ("patroni.service", "PrivateDevices=no"),
        ("haproxy.service", "ProtectSystem=no"),  # its root is an empty one, and read-only
        ("keel-watch-logins.service", "CapabilityBoundingSet=CAP_NET_ADMIN"),
        ("keel-watch-logins.service", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
    }
    names = {wall.partition("=")[0] for wall in sandbox.WALLS} - {"SystemCallFilter"}
    found: set[tuple[str, str]] = set()
    for stack, role, host, unit in SERVICES:
        lines = walls(role, unit.name, stack, host)
        found |= {(unit.name, x) for x in lines if x.partition("=")[0] in names and x not in sandbox.WALLS}
    assert found == known


def test_pgbackrest_has_its_locks_where_all_see_them() -> None:
    """W2: every service has a /tmp of its own."""
    config = files("pgbackrest", host="db1")["/etc/pgbackrest/pgbackrest.conf"]
    assert "lock-path=/var/spool/pgbackrest/locks" in config.content.splitlines()
    at = target(ROLES["pgbackrest"], "db1", manifest_of("dev"))
    assert "/var/spool/pgbackrest/locks" in {folder.path for folder in ROLES["pgbackrest"].directories(at)}
