"""Names on the hosts that more than one role, or the controller too, uses."""

from __future__ import annotations

from environment import names, recovery
from environment.manifest import Manifest

KEEL = "/etc/keel"
CA = f"{KEEL}/ca.crt"
TLS = f"{KEEL}/tls"
LIBRARY = "/usr/local/lib/keel"
"""Keel's own programs on a host."""
FETCH_WAL = f"{LIBRARY}/fetch-wal"
"""PostgreSQL's restore_command."""
JOB = f"{LIBRARY}/job"
"""Runs a scheduled job by its name."""

REPOSITORY = names.BACKUP_VOLUME
"""The backup volume."""
DUMPS = f"{REPOSITORY}/dumps"
METRICS = f"{REPOSITORY}/metrics"
"""On the volume: a host that was made anew still knows when its jobs last succeeded."""
COPIED = f"{REPOSITORY}/second-copied"
"""What of the archive lies in the second repository too, a name a line."""
RECOVERIES = f"{REPOSITORY}/{recovery.RECOVERIES}"
POINTS = f"{REPOSITORY}/restore-points.jsonl"
"""A line per restore point: name, LSN, time, database."""
KNOWN = f"{REPOSITORY}/known-moments"
"""A file per known moment: a restore point, and what every table held there."""
DRILLS = f"{REPOSITORY}/drills"
"""Two files per drill: its report for programs and for people."""
ISOLATED_SERVER = f"{LIBRARY}/isolated.py"
"""Restores a server beside the cluster, on the backup host, and keeps it while somebody listens."""
HOLES = f"{REPOSITORY}/holes.jsonl"
"""What is known of WAL that the archive lacks: see roles/jobs/continuity.py."""
ALERTS = "/run/keel-alerts.json"
"""What stands on the backup host: {"looked": time, "alerts": [{alert, severity, text, subject, since}]}. Not on its volume, which
may be what is full."""
ISOLATED = "/etc/pgbackrest/isolated.conf"
"""pgBackRest's configuration for servers that are restored beside the cluster, on the backup host."""
INFO = "--io-timeout=5 --output=json info"
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


PGBOUNCER_SOCKETS = "/run/pgbouncer"
ETCD_DATA = f"{names.ETCD_VOLUME}/member"
"""etcd's data, on every member of the store."""


def dropin(unit: str) -> str:
    """Path of Keel's drop-in for a systemd unit."""
    return f"{UNITS}/{unit}.d/keel.conf"


def data_directory(manifest: Manifest) -> str:
    """PostgreSQL's data directory on every member."""
    return f"{names.POSTGRES_VOLUME}/{manifest.release.postgres}/main"


def pgbackrest(manifest: Manifest, command: str) -> str:
    """Shell: pgBackRest's ``command`` on this environment's stanza, as the user that owns everything it touches."""
    return f"runuser -u postgres -- pgbackrest --stanza={manifest.stanza} {command}"
