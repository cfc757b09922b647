"""Names that more than one layer uses: the cluster's own logins, Docker's labels, the folders that are volumes.

What hosts alone know is in roles/paths.py; a product's roles follow from its facts (environment/products.py).
"""

from __future__ import annotations

ADMIN = "keel_admin"
"""Maintenance (JEEX-06); db/spec.py says what each login may do. Their passwords derive from the access root."""
MONITOR = "keel_monitor"
"""Reads statistics and states (pg_monitor)."""
BACKUP = "keel_backup"
"""Makes the logical dumps and names restore points: it reads every row (PLAT-19)."""
RESTORE = "keel_restore"
"""Loads what was restored, with the rights of one product's owner; it is there only meanwhile (ops/backup/loading.py)."""
LOOK = "keel_look"
"""Keel itself, where it only looks into a product's database: it may read the catalogue (decision 15)."""
LOCAL = (LOOK, MONITOR, BACKUP)
"""As whom, other than the superuser, root may come over a database host's own socket."""
PGBOUNCER = "keel_pgbouncer"
"""The only login that PgBouncer stores; it may look up verifiers and nothing else (PLAT-22)."""
SESSIONS = "keel_sessions"
"""Ends sessions that hold a transaction too long. It has no password: each database host's own programs come by the socket."""
LOOKUP = "keel.user_lookup"
"""The function in the database `postgres` that PgBouncer asks for a login's verifier (db/lookup.py)."""
PUT_BACK = "keel.put_back_passwords"
"""The function there that gives products' logins the passwords that Keel gave them (db/passwords.py)."""
REPLICATION = "keel_replication"
"""Streams WAL. Patroni itself makes this login and the next one."""
REWIND = "keel_rewind"
"""Reads files of the primary, for pg_rewind."""
SUPERUSER = "postgres"
"""Made by initdb, and Patroni's own. It comes over the socket only, through SSH (decision 3)."""

IDENTITY = "app.current_user_id"
"""The setting that says for whom a transaction works; the policies of every product read it (PLAT-17)."""

LABEL = "keel.environment"
"""Docker's label on everything that belongs to an environment; its value is the environment's name."""
IMAGE_LABEL = "keel.image"
"""Docker's label on the images that Keel builds; its value is the kind of image."""

POSTGRES_VOLUME = "/var/lib/postgresql"
ETCD_VOLUME = "/var/lib/etcd"
REDIS_VOLUME = "/var/lib/redis"
BACKUP_VOLUME = "/var/lib/pgbackrest"
"""Folders of hosts that are volumes: they outlive the container."""

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
"""The host's own SSH key, which the controller pins."""
AUTHORIZED_KEYS = "/root/.ssh/authorized_keys"
CREATECLUSTER = "/etc/postgresql-common/createcluster.conf"
"""Configures the package to make no cluster: Patroni does, and would take one that is there already for its own."""


def network(environment: str) -> str:
    """What the network of an environment's containers is called."""
    return f"keel-{environment}"


def alias(environment: str, group: str) -> str:
    """Under which name containers in an environment's network find the hosts of a group, all of them."""
    return f"{group}.{network(environment)}"


def container(environment: str, host: str) -> str:
    """What the container that is a host is called."""
    return f"keel-{environment}-{host}"


def passphrase_variable(environment: str) -> str:
    """The variable with the passphrase of one environment's stack: where it is set, it is used instead of Pulumi's own."""
    return f"PULUMI_CONFIG_PASSPHRASE_{environment.upper().replace('-', '_')}"
