"""The settings of an environment: one frozen section per `keel:` key of the stack file.

A stack file is read once, by :mod:`environment.load`, into :class:`Settings`. Rules that span sections are
in :mod:`environment.rules`. Nothing here knows Pulumi, pyinfra or a secret.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from environment.kind import Kind
from environment.types import (
    Address,
    BucketName,
    CertificateText,
    Cidr,
    CidrOrOff,
    Connections,
    Cores,
    CronTime,
    CronTimeOrOff,
    Endpoint,
    Group,
    HostKey,
    HostName,
    Lasting,
    Megabytes,
    Memory,
    Milliseconds,
    Minutes,
    Model,
    PackageName,
    ParameterName,
    ParameterValue,
    Port,
    Preset,
    ProductName,
    Provider,
    RecoveryEnd,
    RecoveryToken,
    RegionName,
    RepositoryPath,
    Reset,
    RevisionId,
    Seconds,
    ServicePort,
    Undeclared,
)
from environment.versions import Debian, PackageSource

MOST_REPLICAS = 15
SIZED = "; unset: it follows from the smallest database host, the default at 2048 MiB (docs/sizing.md)"


class KindSection(Model):
    """What this environment is."""

    kind: Kind = Field(description="dev and ci use published roots; staging and production guard their data")
    provider: Provider = Field(Provider.DOCKER, description="docker: containers as hosts; ssh: machines that exist")


class Release(Model):
    """Which software the hosts run (PLAT-01, X-01)."""

    debian: Debian = Field(Debian.FORKY, description="Debian release of every host")
    source: PackageSource = Field(PackageSource.DEBIAN, description="where PostgreSQL's packages come from")
    postgres: int = Field(18, description="PostgreSQL major version")
    extra_packages: tuple[PackageName, ...] = Field(
        (), description="more Debian packages in the host image than the roles need (tools for operators)"
    )


class Published(Model):
    """Ports published on the controller's machine, 127.0.0.1 only (docker provider; JEEX-03, X-20)."""

    primary: Port | None = Field(5220, description="PostgreSQL's primary, direct")
    pgbouncer: Port | None = Field(6432, description="PgBouncer of the edge with the lowest address")
    redis: Port | None = Field(6379, description="Redis, TLS")
    ssh: Port = Field(
        2201, description="sshd of the host whose address ends in .11; the next address has the next port"
    )


class Network(Model):
    """Addresses of the environment."""

    cidr: Cidr = Field(description="network of the hosts; every host address is in it")
    published: Published = Field(default_factory=Published, description="ports on 127.0.0.1")
    clients: tuple[Cidr, ...] = Field(
        (),
        description="networks whose clients reach PgBouncer, Redis and HAProxy; no other address does, but for `containers` (PLAT-41)",
    )
    containers: CidrOrOff | None = Field(
        None,
        description="addresses in cidr for containers of applications: they are clients, and Docker gives them no other. Unset: "
        "in dev and ci the upper half of cidr, where no host is there; off: none. Staging, production and machines have none",
    )
    controllers: tuple[Cidr, ...] = Field(
        (),
        description="with `firewall: all` on machines, the networks from which SSH reaches them; none: any (JEEX-33). "
        "Containers take it from this machine alone",
    )
    admin: bool = Field(
        True,
        description="the logins of maintenance and monitoring may come through the edges' direct ports, over TLS (JEEX-33)",
    )
    firewall: Literal["keel", "all"] | None = Field(
        None,
        description="what a host drops from addresses that are not listed: keel: what comes to Keel's ports, no other; "
        "all: everything. Unset: all in containers, keel on machines (PLAT-41)",
    )


class SshEndpoint(Model):
    """How a machine that exists already is reached (provider ssh)."""

    hostname: Endpoint = Field(description="name or address the controller connects to")
    port: Port = Field(22, description="sshd's port")
    host_key: HostKey = Field(description="pinned public host key: its type and base64")


class Host(Model):
    """One host: what it carries and what it may use."""

    address: Address = Field(description="address inside network.cidr")
    groups: frozenset[Group] = Field(min_length=1, description="what this host does")
    memory: Memory = Field(
        2048,
        description="what it may use, MiB (BAC-03: 2G); auto: what its groups and connections need (docs/sizing.md)",
    )
    cpus: Cores = Field(2.0, description="cores that it may use (BAC-03: 2.0); auto: those 2")
    ssh: SshEndpoint | None = Field(None, description="only with provider ssh")


class Etcd(Model):
    """The consensus store."""

    heartbeat_ms: Milliseconds = Field(100, description="heartbeat interval, milliseconds")
    election_ms: Milliseconds = Field(1000, description="election timeout, milliseconds; at least 5 heartbeats")


TIMINGS: dict[str, dict[str, int]] = {
    Preset.FAST: {"ttl": 20, "loop_wait": 2, "retry_timeout": 9},
    Preset.BALANCED: {"ttl": 30, "loop_wait": 5, "retry_timeout": 10},
    Preset.SAFE: {"ttl": 30, "loop_wait": 5, "retry_timeout": 10},
}
"""Preset → seconds. 20 is the shortest lease that Patroni takes, and 9 the longest patience that it then allows."""


class Patroni(Model):
    """Leader lease and failover timing (design: ttl ≥ 20, loop_wait + 2·retry_timeout ≤ ttl)."""

    ha: Preset = Field(
        Preset.FAST,
        description="where the next three come from if they are not set: `fast`, 20/2/9; `balanced`, 30/5/10; `safe`, as "
        "balanced, and without a synchronous replica nothing is written (docs/runbooks/failover.md)",
    )
    ttl: Annotated[Seconds, Field(ge=20)] = Field(20, description="leader lease, seconds; if not set, what `ha` says")
    loop_wait: Annotated[Seconds, Field(ge=1)] = Field(
        2, description="pause between two checks of the cluster, seconds; if not set, what `ha` says"
    )
    retry_timeout: Annotated[Seconds, Field(ge=3)] = Field(
        9, description="how long etcd or PostgreSQL may be unavailable, seconds; if not set, what `ha` says"
    )
    primary_start_timeout: Seconds = Field(30, description="how long a crashed primary may recover, seconds")
    maximum_lag_on_failover: int = Field(
        1048576, ge=0, le=2**40, description="how many bytes a replica may be behind and still be promoted"
    )

    @model_validator(mode="before")
    @classmethod
    def _timed(cls, given: Any) -> Any:
        """What is set stays; what `ha` is no preset is refused with the field."""
        preset = given.get("ha", Preset.FAST) if isinstance(given, dict) else None
        return {**TIMINGS[preset], **given} if preset in TIMINGS else given


class Postgres(Model):
    """PostgreSQL itself."""

    replicas: int = Field(
        0,
        ge=0,
        le=MOST_REPLICAS,
        description="replicas, in addition to the primary; unset: one less than the postgres hosts (PLAT-37, X-22, ADA-28)",
    )
    synchronous: bool = Field(True, description="Patroni's synchronous mode (with at least one replica)")
    apply_delay: dict[HostName, Minutes] = Field(
        default_factory=dict,
        description="minutes that the replica on this host stays behind; it is never promoted, never waited for, and serves no reads",
    )
    locale: Literal["C.UTF-8", "C"] = Field(
        "C.UTF-8", description="collate and ctype of every database (PLAT-02, Q-06)"
    )
    direct_reserve: Connections = Field(
        15, ge=10, description="connections kept for migrations, monitoring, backup (PLAT-20)"
    )
    shared_buffers: Megabytes = Field(256, ge=16, description="PostgreSQL's own cache, MiB (ADA-01, JEEX-05)" + SIZED)
    effective_cache_size: Megabytes = Field(
        1024, description="what the planner may expect to be cached, MiB (ADA-01)" + SIZED
    )
    work_mem: Megabytes = Field(8, description="memory for one sort or hash, MiB (ADA-01, JEEX-05)" + SIZED)
    maintenance_work_mem: Megabytes = Field(128, description="memory for VACUUM and CREATE INDEX, MiB (ADA-01)" + SIZED)
    max_connections: Connections = Field(100, ge=10, description="connections the server admits (ADA-01)")
    superuser_reserved_connections: Connections = Field(3, description="kept for superusers")
    max_slot_wal_keep_size: Megabytes = Field(2048, description="WAL a slot may hold back, MiB (PLAT-38)")
    hot_standby_feedback: bool = Field(
        True,
        description="the primary keeps rows that reports on replicas still see, so vacuum cancels none; false: its tables stay smaller",
    )
    max_standby_streaming_delay: Annotated[Seconds, Field(le=3600)] = Field(
        30,
        description="how long a replica lets reports end before it applies what they block, such as a changed table, seconds",
    )
    replica_from_repository_above: Megabytes = Field(
        20_480,
        description="above this size of the cluster, a replica is built from the newest backup instead of from the primary, MiB",
    )
    archive_timeout: Annotated[Seconds, Field(ge=1, le=900)] = Field(
        60, description="WAL is archived at least this often, seconds (ADA-25, X-18)"
    )
    io_method: Literal["worker", "io_uring"] = Field("worker", description="asynchronous I/O, 18 and later (JEEX-02)")
    log_statement: Literal["none", "ddl", "mod", "all"] = Field(
        "mod", description="which statements are logged (BAC-06, X-42)"
    )
    log_min_duration_statement: int = Field(
        1000,
        ge=-1,
        le=2**31 - 1,
        description="statements that take this long are logged, milliseconds (BAC-06); -1: none",
    )
    log_file_mode: Literal["0600", "0640", "0644"] = Field("0644", description="mode of the log files (BAC-05, X-42)")
    log_values: bool = Field(
        False,
        description="the log holds the values bound to statements, and the details of errors: rows, and who waits for whom; dev and ci only",
    )
    parameters: dict[ParameterName, ParameterValue] = Field(
        default_factory=dict,
        description="any other parameter of the server, name → value as in postgresql.conf; checked against what the chosen major knows",
    )
    log_retention_days: int = Field(
        14, ge=1, le=3650, description="log files are removed after this many days (PLAT-43)"
    )


class Databases(Model):
    """What converges in the databases, apart from tables."""

    undeclared: Undeclared | None = Field(
        None,
        description="grants, memberships, settings, extensions and roles that the model does not declare: remove or report; "
        "unset: remove in dev and ci, report in staging and production (PLAT-10, X-46)",
    )
    backup_before_migration: bool | None = Field(
        None, description="a backup completes before a migration; unset: in staging and production (JEEX-24)"
    )


class Pgbouncer(Model):
    """The pooler (JEEX-16..20)."""

    default_pool_size: Connections = Field(20, description="server connections per database and user (JEEX-17)")
    min_pool_size: int = Field(
        5, ge=0, le=100_000, description="server connections kept open after a first login (JEEX-17)"
    )
    reserve_pool_size: int = Field(
        5, ge=0, le=100_000, description="additional server connections when clients wait (JEEX-17)"
    )
    reserve_pool_timeout: Seconds = Field(5, description="how long clients wait before that, seconds (JEEX-17)")
    max_user_connections: Connections = Field(50, description="server connections per user (JEEX-17)")
    max_prepared_statements: int = Field(
        200, gt=0, le=100_000, description="prepared statements remembered per server connection (PLAT-23, X-11)"
    )
    lookup_connections: Connections = Field(
        2,
        description="server connections per edge that look passwords up, half of them on replicas for those who read (PLAT-22)",
    )
    server_connect_timeout: Seconds = Field(
        15, description="how long opening a server connection may take, seconds (JEEX-19)"
    )
    query_wait_timeout: Seconds = Field(
        30, description="how long a client may wait for a server connection, seconds (JEEX-19)"
    )
    server_idle_timeout: Seconds = Field(
        300, description="idle server connections are closed after this, seconds (JEEX-19)"
    )
    reset: Reset = Field(
        Reset.IDENTITY,
        description="what ends with each transaction, before another client gets its server connection: `identity`, the row "
        "identity and `row_security`; `state`, everything that a session keeps, prepared statements too; `off`, nothing "
        "(JEEX-18, X-09)",
    )
    server_login_retry: float = Field(
        0.1,
        ge=0.05,
        le=60,
        description="pause between two attempts to reach a server, seconds; PgBouncer's 15 would lengthen every failover, and 1 "
        "every switchover: connections that it closes while clients are held count as failed",
    )


class Haproxy(Model):
    """The proxy that follows the primary."""

    check_interval_ms: Milliseconds = Field(1000, ge=100, description="health check interval, milliseconds")
    fall: int = Field(2, gt=0, le=100, description="failed checks until a server is out")
    rise: int = Field(1, gt=0, le=100, description="good checks until a server is in")
    maxconn: Connections = Field(
        2000, description="connections in total; HAProxy's own default exceeds the limit of open files"
    )
    read_lag: Megabytes = Field(
        16, description="a replica that streams and is not further behind than this serves new reads, MiB of WAL"
    )
    read_fallback: bool = Field(
        True, description="where no replica serves reads, the primary does; false: clients of `<db>_ro` wait"
    )
    client_connections: Connections = Field(
        50, description="sessions that one address may have past the pooler; with another password, they are guesses"
    )


class Redis(Model):
    """The cache (BAC-25, X-13)."""

    maxmemory: Megabytes = Field(256, ge=16, description="memory for data, MiB (BAC-25, X-13)")
    maxmemory_policy: Literal["allkeys-lru", "volatile-lru", "noeviction", "allkeys-lfu"] = Field(
        "allkeys-lru", description="what Redis removes when it is full (BAC-25)"
    )


class SecondRepository(Model):
    """A second repository in an S3-compatible store, so that the loss of the backup host is survived too (PLAT-31)."""

    endpoint: Endpoint = Field(description="host of the S3 service")
    port: Port = Field(443, description="its port; always TLS")
    bucket: BucketName = Field(description="a bucket that exists")
    region: RegionName = Field("us-east-1", description="the bucket's region")
    path: RepositoryPath = Field("/", description="where in the bucket the repository is")
    uri_style: Literal["host", "path"] = Field("host", description="path: the bucket is not part of the host name")
    ca: CertificateText | None = Field(
        None, description="PEM text of a private authority; unset: the authorities of the system"
    )
    retention_days: int = Field(
        30, ge=1, le=3650, description="you can restore from it to any moment of this many days"
    )


class Repository(Model):
    """The repository of backups and WAL (PLAT-31, -33)."""

    retention_days: int = Field(
        30, ge=1, le=3650, description="you can restore to any moment of this many days (PLAT-31, X-17)"
    )
    compress: Literal["zst", "lz4", "gz"] = Field("zst", description="compression of backups and WAL")
    processes: int = Field(2, ge=1, le=64, description="parallel processes of a backup, restore or archive push")
    generation: int = Field(
        1,
        ge=1,
        le=1000,
        description="generation of the repository's key; a higher one begins a new repository next to the old one",
    )
    archive_limit: Megabytes = Field(
        4096, ge=64, description="WAL that may wait on the primary for the archive, MiB; alerts at 50 and 80 %"
    )
    archive_full: Literal["keep", "drop"] = Field(
        "keep",
        description="at that limit: keep drops nothing; drop removes the waiting WAL, so the primary stays up and the archive has a gap",
    )
    second: SecondRepository | None = Field(None, description="a second repository, S3-compatible; unset: none")


class Schedule(Model):
    """When the backup host does what, UTC (PLAT-45)."""

    full: CronTime = Field(
        "0 2 * * *",
        description="full backup, then the logical dumps and a known moment; all retention hangs on it (ADA-23)",
    )
    differential: CronTimeOrOff = Field("off", description="differential backup; off: none")
    incremental: CronTimeOrOff = Field("0 8,14,20 * * *", description="incremental backup; off: none")
    drill: CronTimeOrOff = Field("0 4 * * 0", description="restore the newest backup and check it (ADA-27); off: never")


class Recovery(Model):
    """An order to bring the cluster back from the repository when every database host has lost its data (PLAT-36)."""

    token: RecoveryToken = Field(description="any new word; it allows one recovery, once")
    to: RecoveryEnd = Field("latest", description="latest, or a time, LSN, transaction or restore point's name")


class ProductSettings(Model):
    """A product's share of the connections (JEEX's values are per-database limits: JEEX-17, X-08), and what its programs may
    not exceed whatever they set themselves."""

    max_db_connections: Connections = Field(50, description="server connections per edge, read-write (JEEX-17)")
    readonly_max_db_connections: Connections = Field(20, description="server connections per edge, `<db>_ro`")
    max_client_conn: Connections = Field(100, description="clients per database (JEEX-17, X-08)")
    idle_transaction: Lasting = Field(
        60, description="a transaction in which the product's programs do nothing ends after this, seconds"
    )
    transaction: Lasting = Field(
        600,
        description="no transaction of the product's programs lasts longer, seconds; longer work is a migration",
    )
    temp_files: Megabytes = Field(
        1024, description="temporary files that one of their sessions may write, MiB (temp_file_limit)"
    )
    settings: dict[ParameterName, ParameterValue] = Field(
        default_factory=dict,
        description="parameters of PostgreSQL that its database has a value of its own of, name → value as in postgresql.conf; those "
        "that a session may set",
    )
    startup: dict[ParameterName, ParameterValue] = Field(
        default_factory=dict,
        description="parameters that its clients send as they connect, name → value: the pooler lets them by, and each login that comes "
        "through it begins with these values",
    )
    revision: RevisionId | None = Field(
        None,
        description="hold the database at this revision of its history instead of the newest (RIQ-26): its id, or the "
        "number or time with which the id begins",
    )


class Ports(Model):
    """Ports inside the environment's network. Services do not start as root, so theirs are 1024 and higher."""

    ssh: Literal[22] = Field(22, description="sshd of containers; fixed, because it is needed before any role has run")
    postgres: Literal[5432] = Field(5432, description="PostgreSQL; fixed (JEEX-03), clients use the edges")
    patroni: ServicePort = Field(8008, description="Patroni's REST API")
    primary: ServicePort = Field(5000, description="HAProxy: the primary")
    replica: ServicePort = Field(5001, description="HAProxy: replicas, or the primary if there is none")
    pgbouncer: ServicePort = Field(6432, description="PgBouncer (JEEX-03, JEEX-16)")
    redis: ServicePort = Field(6379, description="Redis, TLS")
    pgbackrest: ServicePort = Field(8432, description="pgBackRest between database and backup hosts")
    etcd_client: ServicePort = Field(2379, description="etcd for its clients")
    etcd_peer: ServicePort = Field(2380, description="etcd between its members")


BY_NAME = AfterValidator(lambda entries: dict(sorted(entries.items())))
"""As Pulumi hands entries out, whatever their order in the stack file: who reads the file itself finds the same."""


class Settings(Model):
    """A whole stack file, without its secrets."""

    environment: KindSection = Field(description="what this environment is")
    release: Release = Field(default_factory=Release, description="which software the hosts run")
    network: Network = Field(description="addresses and published ports")
    ports: Ports = Field(default_factory=Ports, description="ports inside the network")
    hosts: Annotated[dict[HostName, Host], BY_NAME] = Field(min_length=1, description="name → host; made by name")
    etcd: Etcd = Field(default_factory=Etcd, description="the consensus store")
    patroni: Patroni = Field(default_factory=Patroni, description="leader lease and failover timing")
    postgres: Postgres = Field(default_factory=Postgres, description="PostgreSQL itself")
    databases: Databases = Field(default_factory=Databases, description="what the databases hold beyond the model")
    haproxy: Haproxy = Field(default_factory=Haproxy, description="the proxy that follows the primary")
    pgbouncer: Pgbouncer = Field(default_factory=Pgbouncer, description="the pooler")
    redis: Redis = Field(default_factory=Redis, description="the cache")
    repository: Repository = Field(default_factory=Repository, description="the repository of backups and WAL")
    schedule: Schedule = Field(default_factory=Schedule, description="when backups are made")
    recovery: Recovery | None = Field(None, description="order to bring a lost cluster back from the repository")
    products: dict[ProductName, ProductSettings] = Field(
        min_length=1, description="product → its share of the connections, its revision; {} takes the defaults"
    )
