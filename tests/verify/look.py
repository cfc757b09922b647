"""Looks at hosts from the inside: through testinfra over SSH, each thing in one command per host, once per run."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path
from typing import NamedTuple, TypeVar

from testinfra.host import Host

from environment.manifest import HostEntry
from environment.types import Model
from ops.hosts.session import Session
from roles.kit.declare import Role, Target
from tests.verify.shell import Shell

Declared = TypeVar("Declared")

SERVER = Path(__file__).with_name("server.sql").read_text()


class PathFacts(NamedTuple):
    """Owner, group and octal mode of a path."""

    owner: str
    group: str
    mode: str


class Rule(Model):
    """A line of pg_hba.conf as the server has read it."""

    type: str
    database: list[str]
    user_name: list[str]
    address: str | None
    netmask: str | None
    auth_method: str
    options: list[str]
    error: str | None

    @property
    def text(self) -> str:
        """The line as pg_hba.conf has it."""
        from_where = f"{self.address}/{IPv4Network((0, self.netmask)).prefixlen}" if self.netmask else self.address
        said = (
            self.type,
            ",".join(self.database),
            ",".join(self.user_name),
            from_where,
            self.auth_method,
            *self.options,
        )
        return " ".join(part for part in said if part)


class Standby(Model):
    """A replica as its primary sees it."""

    application_name: str
    usename: str
    state: str
    sync_state: str
    replay_lag_bytes: int | None
    ssl: bool


class Slot(Model):
    """A replication slot."""

    slot_name: str
    slot_type: str
    active: bool
    wal_status: str | None


class ServerFacts(Model):
    """One PostgreSQL server from the inside; see server.sql."""

    version: int
    recovering: bool
    replay: str | None
    settings: dict[str, str]
    """As PostgreSQL prints them, with units."""
    numbers: dict[str, str]
    """The same without, in each setting's own unit."""
    sources: dict[str, str]
    pending_restart: list[str]
    by_hand: list[str]
    """Settings of ALTER SYSTEM."""
    log_file: str | None
    hba: list[Rule]
    standbys: list[Standby]
    slots: list[Slot]

    def megabytes(self, setting: str) -> int:
        """A memory setting in MiB, from the way PostgreSQL prints it."""
        value = self.settings[setting]
        for unit, factor in (("GB", 1024.0), ("MB", 1.0), ("kB", 1 / 1024)):
            if value.endswith(unit):
                return round(int(value.removesuffix(unit)) * factor)
        return int(value)


class Look:
    """Facts of the environment's hosts, each looked up once."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.packages = cache(self._packages)
        self.units = cache(self._units)
        self.paths = cache(self._paths)
        self.ports = cache(self._ports)
        self.server = cache(self._server)
        # All at once: the connections are made while this process does something else.
        self._shells = {host.name: Shell(session, host.name) for host in session.manifest.hosts}

    def close(self) -> None:
        """End the shells."""
        for shell in self._shells.values():
            shell.close()

    def shell(self, host: HostEntry, command: str) -> str:
        """Standard output of a shell command; a failing one fails the test with what it said."""
        done = Host(self._shells[host.name]).run(command)
        assert done.rc == 0, f"{host.name}: {command}: exit {done.rc}: {done.stderr.strip()}"
        return str(done.stdout)

    def roles(self, host: HostEntry) -> list[Role]:
        """The roles that ``host`` carries, in order."""
        from roles.order import ROLES  # with pyinfra, which is slow to import; one process of the two does without

        return [role for role in ROLES.values() if role.runs_on(host)]

    def declared(self, host: HostEntry, what: Callable[[Role, Target], tuple[Declared, ...]]) -> list[Declared]:
        """What every role of ``host`` declares under ``what``."""
        target = Target(self.session.manifest, host, self.session.roots)
        return [entry for role in self.roles(host) for entry in what(role, target)]

    def _packages(self, host: HostEntry) -> dict[str, str]:
        listed = self.shell(host, "dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\\n'")
        rows = (line.split(" ", 2) for line in listed.splitlines())
        return {package: version for status, package, version in rows if status == "installed"}

    def _units(self, host: HostEntry) -> dict[str, dict[str, str]]:
        names = " ".join(unit.name for unit in self.declared(host, lambda role, target: role.units(target)))
        shown = self.shell(host, f"systemctl show -p Id,ActiveState,SubState,UnitFileState,Restart,Type -- {names}")
        blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n")]
        return {block["Id"]: block for block in blocks}

    def _paths(self, host: HostEntry, paths: tuple[str, ...]) -> dict[str, PathFacts]:
        listed = " ".join(shlex.quote(path) for path in paths)
        shown = self.shell(host, f"stat -c '%n|%U|%G|%a' -- {listed} 2>/dev/null || true")
        return {path: PathFacts(*facts) for path, *facts in (line.split("|") for line in shown.splitlines())}

    def _ports(self, host: HostEntry) -> dict[tuple[str, str, int], str]:
        found = {}
        for line in self.shell(host, "ss -Hltnup").splitlines():
            protocol, _, _, _, local, _, *program = line.split(maxsplit=6)
            address, _, port = local.rpartition(":")
            found[protocol, address, int(port)] = " ".join([local, *program])
        return found

    def _server(self, host: HostEntry) -> ServerFacts:
        return ServerFacts.model_validate_json(self.shell(host, f"psql -U postgres -XAtq -c {shlex.quote(SERVER)}"))
