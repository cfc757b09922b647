"""PostgreSQL's parameters for an environment: the settings and the requirements that fix a value."""

from __future__ import annotations

from collections.abc import Iterable

from environment import server_parameters
from environment.budget import RESERVED
from environment.manifest import Manifest
from environment.server_parameters import text
from environment.types import Preset
from roles import paths
from roles.kit import tls

TLS = f"{paths.TLS}/postgres"
LOGS = "/var/log/postgresql"
LEADER_FIRST = frozenset(
    {
        "max_connections",
        "max_worker_processes",
        "max_wal_senders",
        "max_prepared_transactions",
        "max_locks_per_transaction",
    }
)
"""A replica must not have less of these than its primary: to lower one, the primary restarts first, in its place."""


def parameters(manifest: Manifest) -> dict[str, str]:
    """Name → value, as every server of the cluster must report it (PLAT-03). Sizes are in the manifest (environment/sizing.py)."""
    settings = manifest.postgres
    values = {
        # ADA-01, JEEX-05
        "shared_buffers": f"{settings.shared_buffers}MB",
        "effective_cache_size": f"{settings.effective_cache_size}MB",
        "work_mem": f"{settings.work_mem}MB",
        "maintenance_work_mem": f"{settings.maintenance_work_mem}MB",
        "max_connections": str(settings.max_connections),
        "superuser_reserved_connections": str(settings.superuser_reserved_connections),
        # PLAT-04, PLAT-37, PLAT-38
        "wal_level": "replica",
        "hot_standby": "on",
        "max_wal_senders": "10",
        "max_replication_slots": "10",
        "max_slot_wal_keep_size": f"{settings.max_slot_wal_keep_size}MB",
        "wal_log_hints": "on",
        # JEEX-31: for a synchronous replica whose host is gone commits wait so long, and one loop of Patroni
        "wal_sender_timeout": "8s",
        # A report ends at the limit of its product, not at the next vacuum
        "hot_standby_feedback": "on" if settings.hot_standby_feedback else "off",
        "max_standby_streaming_delay": f"{settings.max_standby_streaming_delay}s",
        # PLAT-04, ADA-24, ADA-25
        "archive_mode": "on",
        "archive_command": f"pgbackrest --stanza={manifest.stanza} archive-push %p",
        "archive_timeout": f"{settings.archive_timeout}s",
        # BAC-05
        "log_destination": "stderr",
        "logging_collector": "on",
        "log_directory": LOGS,
        "log_filename": "postgresql-%Y-%m-%d_%H%M%S.log",
        "log_file_mode": settings.log_file_mode,
        "log_rotation_age": "1d",
        # W7: what a statement was given, and in which row it failed, may be personal.
        "log_parameter_max_length": "-1" if settings.log_values else "0",
        "log_error_verbosity": "default" if settings.log_values else "terse",
        # BAC-06, X-42
        "log_statement": settings.log_statement,
        "log_min_duration_statement": str(settings.log_min_duration_statement),
        "log_checkpoints": "on",
        "log_connections": "on",
        "log_disconnections": "on",
        "log_replication_commands": "on",  # W14: who copies the cluster
        "log_lock_waits": "on",
        # BAC-07: the trailing space belongs to it
        "log_line_prefix": "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
        # BAC-08, PLAT-08
        "shared_preload_libraries": "pg_stat_statements,auth_delay",
        "pg_stat_statements.track": "all",
        "pg_stat_statements.track_utility": "on",
        "pg_stat_statements.track_planning": "on",
        # W8: a wrong password is answered a second later, here for whoever comes past the pooler
        "auth_delay.milliseconds": "1000",
        # PLAT-11, PLAT-39
        "password_encryption": "scram-sha-256",
        "ssl": "on",
        "ssl_cert_file": f"{TLS}/cert.pem",
        "ssl_key_file": f"{TLS}/key.pem",
        "ssl_ca_file": paths.CA,
        "ssl_min_protocol_version": "TLSv1.2",
        "ssl_ciphers": tls.CIPHERS,
        # X-05, PLAT-46
        "timezone": "UTC",
        "log_timezone": "UTC",
        "autovacuum": "on",
        # What initdb and Patroni would set by themselves
        "datestyle": "iso, mdy",
        "default_text_search_config": "pg_catalog.english",
        "dynamic_shared_memory_type": "posix",
        "wal_keep_size": "128MB",
        **dict.fromkeys(("lc_messages", "lc_monetary", "lc_numeric", "lc_time"), "C.UTF-8"),
    }
    if manifest.release.postgres >= 16:
        values["reserved_connections"] = str(RESERVED)
    if manifest.release.postgres >= 18:
        values["io_method"] = settings.io_method  # JEEX-02
        values["autovacuum_worker_slots"] = "16"
    # By name: Pulumi hands a mapping on in any order.
    return values | {name: text(value) for name, value in sorted(settings.parameters.items())}


def at_start(manifest: Manifest, names: Iterable[str]) -> bool:
    """Whether PostgreSQL reads one of these only when it starts, so that a preview can say so; once one is changed, Patroni says
    which members wait for it."""
    known = server_parameters.known(manifest.release.postgres)
    return any(name in known and known[name].at_start for name in names)


def dynamic_configuration(manifest: Manifest) -> dict[str, object]:
    """Patroni's configuration in etcd: what is the same on every member."""
    patroni, synchronous = manifest.patroni, manifest.postgres.synchronous and manifest.postgres.replicas > 0
    return {
        "ttl": patroni.ttl,
        "loop_wait": patroni.loop_wait,
        "retry_timeout": patroni.retry_timeout,
        "primary_start_timeout": patroni.primary_start_timeout,
        "maximum_lag_on_failover": patroni.maximum_lag_on_failover,
        # Without etcd the primary goes on for as long as Patroni answers it on every other member.
        "failsafe_mode": True,
        "synchronous_mode": synchronous,
        "synchronous_mode_strict": synchronous and patroni.ha is Preset.SAFE,
        "postgresql": {
            "use_pg_rewind": True,
            # pg_rewind cannot finish what it began, and refuses a standby that did not end cleanly. Without this line such a
            # member never starts again; with it, it is copied anew. A rewind, too, drops what only that member had.
            "remove_data_directory_on_rewind_failure": True,
            "use_slots": True,
            "parameters": parameters(manifest),
        },
    }
