"""Names on the hosts that more than one role, or the controller too, uses."""

from __future__ import annotations

from environment import names, recovery
from environment.manifest import Manifest
from environment.pki import Authority
from keel_host import config

KEEL = str(config.FOLDER)
CA = f"{KEEL}/ca.crt"
TLS = f"{KEEL}/tls"
DOORS = f"{KEEL}/doors"
TRUST = f"{KEEL}/trust"
"""Which certificates the doors admit: see roles/kit/declare.py:Trust."""
CRON_READS = "/etc/cron.d"
SEEN = "[!.]*"
"""Any file of a folder but hidden ones."""
LIBRARY = "/usr/local/lib/keel"
"""Keel's own programs on a host."""
FETCH_WAL = f"{LIBRARY}/fetch-wal"
"""PostgreSQL's restore_command."""
JOB = f"{LIBRARY}/job"
"""Runs a scheduled job by its name."""
WATCH_ARCHIVE = f"{LIBRARY}/watch-archive"
"""Looks at the archive once."""
COPY_ARCHIVE = f"{LIBRARY}/copy-archive"
"""Copies the archive into the second repository."""
SCRATCH_SERVER = f"{LIBRARY}/scratch-server"
"""Restores a scratch server and keeps it while its caller listens."""
BOOTSTRAP = f"{LIBRARY}/bootstrap"
"""Patroni's way to make a cluster."""
RECORDED_PATRONI = f"{LIBRARY}/recorded-patroni"
"""Patroni, with a line in its log for each order and each change of the cluster's configuration."""
REPLICA = f"{LIBRARY}/replica-from-repository"
"""Patroni's way to make a replica of a large cluster."""
SHARE_CORES = f"{LIBRARY}/share-cores"
"""Keeps a product that computes on more than a quarter of the processors off one of them."""
SEAL_ARCHIVE = f"{LIBRARY}/seal-archive"
"""Makes WAL that was received unchangeable for who receives it."""
WATCH_LOGINS = f"{LIBRARY}/watch-logins"
"""Counts failed log-ins, and has those slowed who guess."""
RUN_POOLER = f"{LIBRARY}/run-pooler"
"""PgBouncer's start on edges: its restart loses no client."""
HOLD_WRITES = f"{LIBRARY}/hold-writes"
"""Holds the pooler's clients while the primary moves."""
HOLD_UNIT = "keel-hold-writes.service"
"""Runs it, once for each switchover."""
HELD = "/run/keel-hold/account.json"
"""What became of the last hold: see keel_host/programs/hold_writes.py."""
END_SESSIONS = f"{LIBRARY}/end-sessions"
"""Ends sessions that hold a transaction too long."""

REPOSITORY = names.BACKUP_VOLUME
"""The backup volume."""
DUMPS = f"{REPOSITORY}/dumps"
METRICS = f"{REPOSITORY}/metrics"
"""On the volume: a new host still knows when its jobs last succeeded."""
COPIED = f"{REPOSITORY}/second-copied"
"""The files of the archive that are in the second repository too, a name a line."""
RECOVERIES = f"{REPOSITORY}/{recovery.RECOVERIES}"
POINTS = f"{REPOSITORY}/restore-points.jsonl"
"""A line per restore point: name, LSN, time, database."""
KNOWN = f"{REPOSITORY}/known-moments"
"""A file per known moment: a restore point, and what every table held there."""
DRILLS = f"{REPOSITORY}/drills"
"""Two files per drill: its report for programs and for people."""
POSITIONS = f"{REPOSITORY}/positions.log"
"""Where the WAL was at which time: see keel_host/positions.py."""
ARCHIVE_GAPS = f"{REPOSITORY}/holes.jsonl"
"""What is known of WAL that the archive lacks: see keel_host/gaps.py. The file keeps its first name: it is on the backup volume,
and an environment that exists must not forget its gaps."""
ALERTS = "/run/keel-alerts.json"
"""The active alerts of the backup host: {"looked": time, "alerts": [{alert, severity, text, subject, since}]}. Not on its volume, which
may be what is full."""
SCRATCH_CONFIG = "/etc/pgbackrest/scratch.conf"
"""pgBackRest's configuration for scratch servers, which are restored on the backup host, next to the cluster."""
SERVED_CONFIG = "/run/keel-served.conf"
"""A copy of it for pgBackRest's server on the backup host, while database hosts may read every repository (ops/backup/served.py).
Without it pgBackRest says of a store elsewhere that it does not answer, never that it is empty."""
SECOND_CONFIG = "/etc/pgbackrest/second.conf"
"""pgBackRest's configuration that knows the second repository alone."""
INFO = "--io-timeout=5 --log-level-console=error --output=json info"
"""pgBackRest's command for what its repositories hold, in JSON. One that is away is asked for five seconds, not sixty."""

RESTORING = ".restoring"
"""Suffix of a data directory that a recovery takes over: what is right in it is not fetched again."""
UNITS = "/etc/systemd/system"
SOCKETS = "/run/postgresql"
"""Folder of the server's socket, on every member."""
PATRONI_PASSFILE = f"{names.POSTGRES_VOLUME}/.pgpass.patroni"
"""Patroni writes it, for its replicas."""
RECOVERY_ORDER = f"{SOCKETS}/keel-recovery.json"
"""A recovery that was ordered on a host: {"token": …, "options": [pgBackRest's]}."""


PATRONI, PGBACKREST, PGBOUNCER = "/etc/patroni", "/etc/pgbackrest", "/etc/pgbouncer"
"""Folders of configuration with passwords in it. All three belong to one account, so each service sees no more of them than it reads."""
PGBOUNCER_SOCKETS = "/run/pgbouncer"
HAPROXY_SOCKET = "/run/haproxy/stats.sock"
"""What HAProxy knows, to be read; nothing can be changed through it."""
ETCD_DATA = f"{names.ETCD_VOLUME}/member"
"""etcd's data, on every member of the store."""


def door(authority: Authority) -> str:
    """Path of the authorities whose certificates a door admits."""
    return f"{DOORS}/{authority}.crt"


def since(path: str, former: str) -> str:
    """Shell: ``path``; on a host from before the doors had authorities of their own ``former``, which does there."""
    return f"$([ -e {path} ] && echo {path} || echo {former})"


def dropin(unit: str) -> str:
    """Path of Keel's drop-in for a systemd unit."""
    return f"{UNITS}/{unit}.d/keel.conf"


def binaries(manifest: Manifest) -> str:
    """Folder of the server's programs."""
    return f"/usr/lib/postgresql/{manifest.release.postgres}/bin"


def data_directory(manifest: Manifest) -> str:
    """PostgreSQL's data directory on every member."""
    return f"{names.POSTGRES_VOLUME}/{manifest.release.postgres}/main"


def pgbackrest(manifest: Manifest, command: str) -> str:
    """Shell: pgBackRest's ``command`` on this environment's stanza, as the user that owns everything it touches."""
    return f"runuser -u postgres -- pgbackrest --stanza={manifest.stanza} {command}"


def code(*modules: str) -> tuple[str, ...]:
    """What a program that runs all the time has read of the package `keel_host`: where it changes, the program begins again."""
    return tuple(f"{LIBRARY}/keel_host/{module}.py" for module in modules)
