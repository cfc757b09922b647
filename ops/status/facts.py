"""What `./keel status` found: data only, so that its judgement is tested without an environment. `--json` prints it."""

from __future__ import annotations

from pydantic import Field

from environment.kind import Kind
from environment.types import Model
from roles.postgres.patroni import Member


class HostFacts(Model):
    """One host as it answers over SSH."""

    name: str
    address: str
    groups: tuple[str, ...]
    fault: str | None = None
    """Why it could not be asked; None when it answered."""
    failed_units: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    """Package → installed version, for what its groups serve with."""
    certificate_days: int | None = None
    """Until the first of its certificates ends."""


class Standby(Model):
    """A standby as the primary's pg_stat_replication shows it."""

    name: str
    state: str
    sync_state: str


class ServerFacts(Model):
    """One PostgreSQL server as it reports itself, over its own socket."""

    host: str
    in_recovery: bool
    version: str
    synchronous_commit: str
    standbys: tuple[Standby, ...]


class PoolFacts(Model):
    """One line of PgBouncer's SHOW POOLS (JEEX-20)."""

    edge: str
    database: str
    user: str
    clients_active: int
    clients_waiting: int
    servers_active: int
    servers_idle: int
    waited_seconds: int
    leaving: bool = False
    """Of a PgBouncer that a restart replaced: it ends with the last client that it has (decision 18)."""


class RedisFacts(Model):
    """The cache, asked as the account that reads no key."""

    host: str
    fault: str | None = None
    used_bytes: int = 0
    limit_bytes: int = 0
    clients: int = 0


class HeadFacts(Model):
    """How far a product's database has come (PLAT-28)."""

    product: str
    current: str | None
    head: str


class AlertFacts(Model):
    """One active alert on the backup host (keel_host/programs/watch_archive.py)."""

    alert: str
    severity: str
    text: str
    subject: str = ""
    since: str


class WatchFacts(Model):
    """What the backup host found at its last look at archive and jobs."""

    looked: str
    seconds_ago: int
    alerts: tuple[AlertFacts, ...]


class Facts(Model):
    """An environment at one moment."""

    environment: str
    kind: Kind
    replicas: int
    """Replicas the model declares."""
    hosts: tuple[HostFacts, ...]
    members: tuple[Member, ...]
    """As Patroni sees them; lag in bytes."""
    expected_members: tuple[str, ...]
    synchronous_mode: bool
    paused: bool
    servers: tuple[ServerFacts, ...]
    etcd: dict[str, bool]
    """Member of the store → does it answer with a leader."""
    pools: tuple[PoolFacts, ...]
    silent_poolers: tuple[str, ...]
    """Edges whose PgBouncer did not answer."""
    redis: tuple[RedisFacts, ...]
    heads: tuple[HeadFacts, ...]
    watch: WatchFacts | None = None
    """None when the backup host does not answer, or has not looked since it started."""

    @property
    def writable(self) -> tuple[ServerFacts, ...]:
        """Servers that are not in recovery: exactly one, when all is well."""
        return tuple(server for server in self.servers if not server.in_recovery)
