"""The settings of the programs on a host: data in one file for each kind of host, written by the role that owns it.

A file holds what that host's programs need and no secret. Its path is the class's ``FILE``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from keel_host import typed
from keel_host.processes import Failed

FOLDER = Path("/etc/keel")
"""Keel's own settings and certificates on a host."""


class Settings(Protocol):
    """A class of settings."""

    FILE: ClassVar[Path]


@dataclass(frozen=True)
class Bound:
    """How long one login's transactions may take, seconds."""

    idle_transaction: int
    """Without a statement."""
    transaction: int
    """In all."""


@dataclass(frozen=True)
class Member:
    """The settings of the programs on a database host, which Patroni and a timer run."""

    FILE: ClassVar[Path] = FOLDER / "member.json"

    stanza: str
    """The environment's name, by which pgBackRest knows the cluster."""
    binaries: Path
    """Folder of the server's programs."""
    fetch_wal: Path
    """PostgreSQL's restore_command."""
    locale: str
    """Of a new cluster."""
    recovery_order: Path
    """Where an order to recover is written: {"token": …, "options": [pgBackRest's]}."""
    restoring: str
    """Suffix of a data directory that a recovery takes over."""
    replica_from_repository_above: int
    """MiB: a larger cluster's replicas come from its backups."""
    sockets: Path = Path()
    """Folder of the server's socket."""
    ends_sessions: str = ""
    """The login that may end sessions."""
    bounds: dict[str, Bound] = field(default_factory=dict)
    """Login → how long its transactions may take. Absent where an earlier release wrote the file."""
    processors: float = 0
    """How many this host may use; 0: all that it has."""


@dataclass(frozen=True)
class Product:
    """What jobs know of a product in addition to its recorded catalogue."""

    head: str
    """Its newest revision."""
    extensions: tuple[str, ...]
    tenants: tuple[str, ...]
    """Tables of users' rows."""
    plain_dump: bool
    """Whether it is dumped as SQL text, too."""
    selected_tables: tuple[str, ...]
    """Tables that are dumped alone, too."""


@dataclass(frozen=True)
class BackupHost:
    """The settings of the programs on the backup host, which cron and timers run."""

    FILE: ClassVar[Path] = FOLDER / "backup.json"

    stanza: str
    """The environment's name, by which pgBackRest knows the cluster."""
    binaries: Path
    """Folder of the server's programs."""
    library: Path
    """Folder of Keel's programs."""
    fetch_wal: Path
    """PostgreSQL's restore_command."""
    server: str
    """How the primary is reached as the backup role; the database's name is to follow."""
    logs: Path
    locks: Path
    """Folder of locks, in memory."""
    schema: Path
    """Folder of the products' recorded catalogues."""
    volume: Path
    """The backup volume."""
    archive: Path
    """Where the first repository keeps the WAL."""
    dumps: Path
    metrics: Path
    known_moments: Path
    drills: Path
    restore_points: Path
    positions: Path
    """Where the WAL was at which time: lines of seconds since 1970, timeline, LSN."""
    archive_gaps: Path
    alerts: Path
    certificates: Path
    """Folder of this host's key pairs."""
    copied: Path
    """The files of the archive that are in the second repository too, a name a line."""
    scratch_config: Path
    """pgBackRest's configuration for scratch servers."""
    copy_config: Path
    """pgBackRest's configuration that knows the second repository alone."""
    retention_days: int
    archive_limit: int
    """MiB of WAL that may wait on the primary."""
    copies_at_once: int
    repositories: dict[str, int]
    """How the names of a repository's jobs end → its number, of those that backups are made in."""
    schedule: dict[str, str]
    """Job → cron time."""
    products: dict[str, Product]

    @property
    def retention(self) -> int:
        """Seconds that dumps and known moments are kept."""
        return self.retention_days * 86400


@dataclass(frozen=True)
class LoginHost:
    """The settings of the program that watches log-ins, on edges and on the Redis host."""

    FILE: ClassVar[Path] = FOLDER / "logins.json"

    units: tuple[str, ...]
    """The proxies of this host."""
    pgbouncer: int
    """PgBouncer's port."""
    redis: int
    """Redis' port; 0 where there is none."""
    redis_login: str
    """The account that may read what Redis refused."""
    redis_password: Path
    authority: str
    """The certificate that Redis is checked against."""
    slowed: str
    """The firewall's set of the addresses and ports whose new connections come in slowly."""


@dataclass(frozen=True)
class Edge:
    """The settings of the programs that run the pooler, and hold its clients while the primary moves, on edges."""

    FILE: ClassVar[Path] = FOLDER / "edge.json"

    sockets: Path
    """Folder of PgBouncer's socket. A folder in it for each PgBouncer has its own."""
    port: int
    """PgBouncer's port."""
    administrator: str
    """The OS account that its console admits, and its login there."""
    databases: tuple[str, ...]
    """Its databases that lead to the primary, as clients name them."""
    lookup: str
    """Its database in which it looks passwords up, at the primary."""
    proxy: Path
    """HAProxy's socket."""
    account: Path
    """What became of the last hold, in JSON."""
    addresses: tuple[str, ...] = ()
    """Where clients come to. Absent where an earlier release wrote the file."""


Kind = TypeVar("Kind", bound=Settings)


def read(kind: type[Kind]) -> Kind:
    """This host's settings. Raises Failed where they are not there or not whole."""
    try:
        return typed.build(kind, json.loads(kind.FILE.read_text()))
    except (OSError, ValueError) as error:
        raise Failed(f"{kind.FILE} cannot be read: {error}. Nothing was done; `make up` writes it") from error


def text(settings: Member | BackupHost | LoginHost | Edge) -> str:
    """What `read` reads."""
    return json.dumps(asdict(settings), indent=2, default=str) + "\n"
