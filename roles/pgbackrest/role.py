"""pgBackRest on database hosts and on the backup host: WAL archive and backups, between hosts by mutual TLS."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import operation

from environment.manifest import HostEntry
from environment.pki import Authority
from environment.repositories import Place, repositories, written
from environment.types import Group
from keel_host.accounts import POSTGRES, RECEIVER
from keel_host.config import BackupHost
from keel_host.pgbackrest import FIRST
from roles import paths
from roles.kit import sandbox, tls
from roles.kit.declare import Certificate, Directory, Effect, File, Role, Target, Trust, Unit
from roles.kit.observe import Present
from roles.kit.results import perform
from roles.pgbackrest.options import AUTHORITY, TLS, folder, keeps, reached, sections

CONFIG = "/etc/pgbackrest/pgbackrest.conf"
SERVER_CONFIG = "/etc/pgbackrest/server.conf"
"""What the server of the backup host reads, for each client again: all that is in it a client can learn (W5)."""
SERVER = "keel-pgbackrest.service"
UNIT = f"{paths.UNITS}/{SERVER}"
SERVING = f"{paths.TLS}/pgbackrest"
DOOR = paths.door(Authority.PGBACKREST)
SPOOL = "/var/spool/pgbackrest"
LOCKS = f"{SPOOL}/locks"
"""Not in /tmp, of which every service has its own: all that runs pgBackRest on a host must see the same locks."""
LOGS = "/var/log/pgbackrest"
COPY_SERVICE, COPY_TIMER = "keel-copy-archive.service", "keel-copy-archive.timer"
COPY_UNITS = {f"{paths.UNITS}/{unit}": unit for unit in (COPY_SERVICE, COPY_TIMER)}
"""Path → unit."""
COPYING = "the copy to the second repository"
INCLUDED = f"{paths.PGBACKREST}/conf.d"
"""pgBackRest adds every file in it to its configuration."""
SEAL_SERVICE, SEAL_TIMER = "keel-seal-archive.service", "keel-seal-archive.timer"
SEAL_UNITS = {f"{paths.UNITS}/{unit}": unit for unit in (SEAL_SERVICE, SEAL_TIMER)}
"""Path → unit."""


class Pgbackrest(Role):
    """The repositories on the backup host, their clients on the database hosts, and the server both sides speak to."""

    name = "pgbackrest"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        own = (
            Directory(paths.PGBACKREST),
            Directory(INCLUDED, read="*.conf"),
            *(Directory(path, "postgres", "postgres", "750") for path in (LOGS, SPOOL, LOCKS)),
            *((Directory(f"{paths.UNITS}/{SERVER}.d"),) if peers(target) else ()),
        )
        if not keeps(target):
            return own
        kept = (
            Directory(path, "postgres", "postgres", "750") for path in (_first(target), f"{_first(target)}/archive")
        )
        # A scratch server lies on the same volume: its account passes through, and sees no name.
        return (*own, Directory(paths.REPOSITORY, "postgres", "postgres", "751"), *kept)

    def certificates(self, target: Target) -> tuple[Certificate, ...]:
        return (
            target.serving("pgbackrest", _server(target), target.host.name, str(target.host.address)),
            target.entering("pgbackrest", Authority.PGBACKREST, "postgres"),
        )

    def files(self, target: Target) -> tuple[File, ...]:
        manifest, settings = target.manifest, target.manifest.repository
        # On a host that is both, its own server comes first: pgBackRest takes the first one for the local one.
        members = sorted(manifest.carrying(Group.POSTGRES), key=lambda member: member.name != target.host.name)
        values = {
            "settings": settings,
            "ca": paths.CA,
            "tls": TLS,
            "server": SERVING,
            "ciphers": tls.CIPHERS,
            "door": DOOR,
            "spool": SPOOL,
            "locks": LOCKS,
            "logs": LOGS,
            "data": paths.data_directory(manifest),
            "sections": sections(target),
            "keeps": keeps(target),
            "drops": settings.archive_full == "drop" and target.host.carries(Group.POSTGRES),
            "members": members,
            "admitted": _admitted(target),
            "receives": receives(target),
        }
        config = self._private(CONFIG, "pgbackrest.conf.j2", target, **values)
        fetch = File(paths.FETCH_WAL, self.render("fetch-wal", target, settings=settings, first=FIRST), mode="755")
        unit = (*self._serving(target, values), self._walls(target)) if peers(target) else ()
        if not keeps(target):
            return (config, fetch, *unit)
        readable = [reached(target, repository) for repository in repositories(settings)]
        scratch = self._private(paths.SCRATCH_CONFIG, "scratch.conf.j2", target, settings=settings, readable=readable)
        return (config, fetch, *unit, scratch, *self._copying(target))

    def units(self, target: Target) -> tuple[Unit, ...]:
        config = SERVER_CONFIG if receives(target) else CONFIG
        ping = f"runuser -u postgres -- pgbackrest --config={config} server-ping {target.host.address} >/dev/null 2>&1"
        restart, reload = (UNIT, sandbox.path(SERVER), config), (SERVING, TLS, paths.CA, DOOR, INCLUDED)
        server = Unit(SERVER, restart, reload, ready=ping, title="pgBackRest's server")
        copying = Unit(COPY_TIMER, restart=tuple(COPY_UNITS), title=COPYING)
        sealing = Unit(SEAL_TIMER, restart=tuple(SEAL_UNITS), title="what makes received WAL unchangeable")
        return (
            *((server,) if peers(target) else ()),
            *((sealing,) if receives(target) else ()),
            *((copying,) if _copies(target) else ()),
        )

    def activate(self, target: Target, changed: frozenset[str]) -> None:
        if not peers(target):
            serving = host.get_fact(Present, path=UNIT)
            perform("pgbackrest: no other host needs its server any more", _forget_server, serving)
        if keeps(target) and not _copies(target):
            copying = host.get_fact(Present, path=f"{paths.UNITS}/{COPY_TIMER}")
            perform("pgbackrest: no second repository any more", _forget_second, copying)

    def effects(self, old: Target, new: Target) -> tuple[Effect, ...]:
        copying = (Effect(COPYING, "stops"),) if _copies(old) and not _copies(new) else ()
        serving = (Effect("pgBackRest's server", "stops"),) if peers(old) and not peers(new) else ()
        return (*copying, *serving)

    def _walls(self, target: Target) -> File:
        """Around the server. On a database host it reads the data. On the backup host database hosts come this way: they add to
        the archive and read the rest. pgBackRest itself would let them do more: it admits a host to a stanza, not to a command.
        What is in the archive is no longer the server's account's (keel_host/programs/seal_archive.py)."""
        serving, entering = self.certificates(target)
        hides = (paths.PATRONI, paths.PGBOUNCER)
        if keeps(target):
            dark = (*hides, paths.SCRATCH_CONFIG, paths.SECOND_CONFIG, str(BackupHost.FILE))
            on_volume = (each for each in repositories(target.manifest.repository) if each.place is Place.VOLUME)
            # A client may name any folder as the repository: of what lies on the host's volumes there is nothing else.
            alone = ("TemporaryFileSystem=/var:ro", *(f"BindReadOnlyPaths=-{folder(each)}" for each in on_volume))
            archive = f"{_first(target)}/archive"
            more = (*alone, f"BindPaths={archive}")
            return sandbox.sandbox(SERVER, (serving,), writes=(archive,), hides=dark, more=more)
        return sandbox.sandbox(SERVER, (serving, entering), writes=(LOGS, SPOOL), hides=hides)

    def _serving(self, target: Target, config: dict[str, object]) -> tuple[File, ...]:
        """The server, and what takes the WAL that it received out of its hands."""
        values = {
            "account": _server(target),
            "keeps": keeps(target),
            "config": SERVER_CONFIG,
            "seal": paths.SEAL_ARCHIVE,
            "settings": BackupHost.FILE,
            "volume": paths.REPOSITORY,
        }
        units = {UNIT: SERVER, **(SEAL_UNITS if receives(target) else {})}
        written = tuple(File(path, self.render(unit, target, **values)) for path, unit in units.items())
        if not receives(target):
            return written
        every = repositories(target.manifest.repository)
        near = [reached(target, each) for each in every if each.place is Place.VOLUME]
        # By its group the server reads it, which has an account of its own.
        text = self.render("server.conf.j2", target, **config, near=near)
        return (*written, File(SERVER_CONFIG, text, "postgres", "postgres", "640"))

    def _private(self, path: str, template: str, target: Target, **values: object) -> File:
        """A file with keys in it."""
        return File(path, self.render(template, target, **values), "postgres", "postgres", "600")

    def _copying(self, target: Target) -> tuple[File, ...]:
        """What copies the archive into the second repository, and when."""
        settings = target.manifest.repository
        if settings.second is None:
            return ()
        options = reached(target, written(settings)[1], 1)
        values = {"program": paths.COPY_ARCHIVE, "settings": BackupHost.FILE}
        authority = (File(AUTHORITY, settings.second.ca),) if settings.second.ca else ()
        return (
            *authority,
            self._private(paths.SECOND_CONFIG, "second.conf.j2", target, settings=settings, options=options),
            *(File(path, self.render(unit, target, **values)) for path, unit in COPY_UNITS.items()),
        )


def peers(target: Target) -> list[HostEntry]:
    """The other side: database hosts for the backup host, it for them; none where one host is both."""
    manifest = target.manifest
    others = manifest.carrying(Group.POSTGRES) if keeps(target) else (manifest.repository_host,)
    return [host for host in others if host.name != target.host.name]


def receives(target: Target) -> bool:
    """True on the backup host that database hosts push WAL to."""
    return keeps(target) and bool(peers(target))


def _server(target: Target) -> str:
    """The account of the server: where it receives WAL one of its own, which owns no backup."""
    return RECEIVER if receives(target) else POSTGRES


def _first(target: Target) -> str:
    """Folder of the repository on the backup volume that database hosts archive to."""
    return folder(repositories(target.manifest.repository)[0])


def _admitted(target: Target) -> list[str]:
    """The subjects whose certificates the server lets in: of pgBackRest on the other side, not of any service there."""
    names = [peer.name for peer in peers(target)]
    return [f"{name}.pgbackrest" for name in names] + (names if target.trust is not Trust.OWN else [])


def _copies(target: Target) -> bool:
    """True on the host that copies the archive into a second repository."""
    return keeps(target) and target.manifest.repository.second is not None


@operation()
def _forget_second(copying: bool) -> Generator[str, None, None]:
    """Stop copying, and take the second repository's keys and figures away. What it holds stays."""
    if copying:
        yield f"systemctl disable --now {COPY_TIMER}; systemctl stop {COPY_SERVICE}; systemctl reset-failed {COPY_SERVICE} || true"
        yield f"rm -f {paths.SECOND_CONFIG} {paths.SERVED_CONFIG} {AUTHORITY} {paths.METRICS}/job_*-second.prom {paths.METRICS}/copy_archive.prom {paths.COPIED}"
        yield f"rm -f {' '.join(COPY_UNITS)}; systemctl daemon-reload"


@operation()
def _forget_server(serving: bool) -> Generator[str, None, None]:
    """Stop the server, once what it received is the archive's."""
    if serving:
        sealing = f"{paths.UNITS}/{SEAL_TIMER}"
        yield f"test ! -e {sealing} || {{ systemctl start {SEAL_SERVICE}; systemctl disable --now {SEAL_TIMER}; }}"
        yield f"systemctl disable --now {SERVER}; rm -rf {UNIT} {UNIT}.d {' '.join(SEAL_UNITS)}; systemctl daemon-reload"
