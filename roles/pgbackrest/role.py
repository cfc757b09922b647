"""pgBackRest on database hosts and on the backup host: WAL archive and backups, between hosts by mutual TLS."""

from __future__ import annotations

from typing import NamedTuple

from environment.manifest import HostEntry
from environment.types import Group
from roles import paths
from roles.kit.declare import Certificate, Directory, File, Role, Target, Unit

CONFIG = "/etc/pgbackrest/pgbackrest.conf"
TLS = f"{paths.TLS}/pgbackrest"
SERVER = "keel-pgbackrest.service"
UNIT = f"/etc/systemd/system/{SERVER}"
SPOOL = "/var/spool/pgbackrest"
LOGS = "/var/log/pgbackrest"


class Pgbackrest(Role):
    """The repository on the backup host, its clients on the database hosts, and the server both sides speak to."""

    name = "pgbackrest"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        own = (
            Directory("/etc/pgbackrest"),
            *(Directory(path, "postgres", "postgres", "750") for path in (LOGS, SPOOL)),
        )
        return (*own, Directory(paths.REPOSITORY, "postgres", "postgres", "750")) if _keeps(target) else own

    def certificates(self, target: Target) -> tuple[Certificate, ...]:
        return (Certificate(TLS, (target.host.name, str(target.host.address)), "postgres", "postgres"),)

    def files(self, target: Target) -> tuple[File, ...]:
        manifest, settings = target.manifest, target.manifest.repository
        # On a host that is both, its own server comes first: pgBackRest takes the first one for the local one.
        members = sorted(manifest.carrying(Group.POSTGRES), key=lambda member: member.name != target.host.name)
        values = {
            "settings": settings,
            "ca": paths.CA,
            "tls": TLS,
            "spool": SPOOL,
            "logs": LOGS,
            "data": paths.data_directory(manifest),
            "generations": _generations(target),
            "keeps": _keeps(target),
            "drops": settings.archive_full == "drop" and target.host.carries(Group.POSTGRES),
            "members": members,
            "peers": _peers(target),
        }
        config = File(CONFIG, self.render("pgbackrest.conf.j2", target, **values), "postgres", "postgres", "640")
        unit = (File(UNIT, self.render(SERVER, target)),) if _peers(target) else ()
        if not _keeps(target):
            return (config, *unit)
        isolated = self.render("isolated.conf.j2", target, **values)
        return (config, *unit, File(paths.ISOLATED, isolated, "postgres", "postgres", "640"))

    def units(self, target: Target) -> tuple[Unit, ...]:
        if not _peers(target):
            return ()
        ping = f"runuser -u postgres -- pgbackrest server-ping {target.host.address} >/dev/null 2>&1"
        return (Unit(SERVER, restart=(UNIT, CONFIG), reload=(TLS, paths.CA), ready=ping),)


def _peers(target: Target) -> list[HostEntry]:
    """The other side: database hosts for the backup host, it for them; nobody where one host is both."""
    manifest = target.manifest
    others = manifest.carrying(Group.POSTGRES) if _keeps(target) else (manifest.repository_host,)
    return [host for host in others if host.name != target.host.name]


class Generation(NamedTuple):
    """A repository of one key: its folder and, on the host that keeps it, its passphrase."""

    path: str
    cipher: str | None


def _generations(target: Target) -> list[Generation]:
    """The repository that is written, and the one of the key before, which is still read.

    The keys are on the backup host alone; database hosts are told them for as long as a command runs.
    """
    newest = target.manifest.repository.generation
    return [
        Generation(f"{paths.REPOSITORY}/generation-{number}", target.roots.cipher(number) if _keeps(target) else None)
        for number in (newest, newest - 1)
        if number > 0
    ]


def _keeps(target: Target) -> bool:
    """True on the host that holds the repository."""
    return target.host.carries(Group.BACKUP)
