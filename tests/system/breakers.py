"""Ways to break a running environment, each small, repairable in a moment, and seen by one test of the suite.

They do not hide each other, so all of them are in force at once and one run of the suite must find every one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from environment.types import Group
from ops.hosts.session import Session


class Where(Enum):
    """On which host."""

    PRIMARY = "the primary"
    REPLICA = "the replica"
    EDGE = "an edge"
    CACHE = "the cache"
    OTHER = "a host without a database"

    def host(self, session: Session) -> str:
        """Its name in this environment."""
        manifest, leader = session.manifest, session.leader().name
        if self is Where.PRIMARY:
            return leader
        if self is Where.REPLICA:
            return next(host.name for host in manifest.carrying(Group.POSTGRES) if host.name != leader)
        if self is Where.OTHER:
            return next(host.name for host in reversed(manifest.hosts) if not host.carries(Group.POSTGRES))
        return manifest.carrying(Group.EDGE if self is Where.EDGE else Group.REDIS)[0].name


@dataclass(frozen=True)
class Breaker:
    """Shell commands that break and repair, the test that must fail for it, and the requirement it must name.

    ``also`` lists further tests that the same thing makes fail.
    """

    where: Where
    breaks: str
    repairs: str
    test: str
    names: str
    also: tuple[str, ...] = ()


def _sql(statement: str, database: str = "jeex_idea") -> str:
    return f'PGOPTIONS="-c search_path=public" psql -U postgres -Xq -v ON_ERROR_STOP=1 -d {database} -c "{statement}"'


def _setting(name: str, value: str) -> tuple[str, str]:
    """ALTER SYSTEM and its undoing, each effective at once."""
    reload = f"&& {_sql('select pg_reload_conf()')} > /dev/null"
    return f"{_sql(f'alter system set {name} = {value}')} {reload}", f"{_sql(f'alter system reset {name}')} {reload}"


def _pooler(command: str) -> str:
    return f"runuser -u postgres -- psql -Xq -h /run/pgbouncer -p 6432 -U postgres pgbouncer -c '{command}'"


_WALLS = "/etc/systemd/system/keel-pgbackrest.service.d/sandbox.conf"
_TLS = "/etc/keel/tls/postgres"
_RELOAD = f"{_sql('select pg_reload_conf()')} > /dev/null"
_ETCD = (
    ". /etc/default/etcd; etcd() { etcdctl --endpoints=$ETCD_ADVERTISE_CLIENT_URLS --cacert=$ETCD_TRUSTED_CA_FILE "
    '--cert=$ETCD_CERT_FILE --key=$ETCD_KEY_FILE "$@"; }; '
)
_RECONNECT = _sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'jeex_user'") + " > /dev/null"
_HBA = "$(psql -U postgres -XAtc 'show hba_file')"
_SYNCHRONOUS = (
    "timeout 20 sh -c \"until psql -U postgres -XAtc 'select sync_state from pg_stat_replication' | grep -qx sync; "
    'do sleep 0.2; done"'
)
_POLICY = "alter policy exports_project on exports using"

BREAKERS = {
    "package": Breaker(
        Where.OTHER,
        "sed -i 's/^Package: logrotate$/Package: logrotate-gone/' /var/lib/dpkg/status",
        "sed -i 's/^Package: logrotate-gone$/Package: logrotate/' /var/lib/dpkg/status",
        "test_hosts.test_packages", "PLAT-49",
    ),
    "stopped unit": Breaker(
        Where.OTHER, "systemctl stop cron.service", "systemctl start cron.service", "test_hosts.test_units", "PLAT-49"
    ),
    "failed unit": Breaker(
        Where.OTHER,
        "! systemd-run --quiet --wait --unit=keel-broken false",
        "systemctl reset-failed keel-broken.service",
        "test_hosts.test_no_unit_failed", "PLAT-49",
    ),
    "undeclared port": Breaker(
        Where.OTHER,
        "systemd-run --quiet --unit=keel-listens python3 -m http.server 9999 && "
        "timeout 10 sh -c 'until curl -so /dev/null localhost:9999; do sleep 0.1; done'",
        "systemctl stop keel-listens.service",
        "test_hosts.test_no_other_port_listens", "PLAT-49",
    ),
    "firewall": Breaker(
        Where.OTHER, "nft insert rule inet keel input tcp dport 8432 accept", "systemctl reload keel-firewall.service",
        "test_firewall.test_the_table_in_force", "PLAT-41",
    ),
    "mode of a key": Breaker(
        Where.REPLICA, "chmod 640 /etc/keel/tls/etcd/key.pem", "chmod 600 /etc/keel/tls/etcd/key.pem",
        "test_hosts.test_owners_and_modes", "PLAT-49",
    ),
    "key that others read": Breaker(
        Where.EDGE,
        "cd /etc/keel/tls/pgbouncer && chmod 755 . && chmod 644 key.pem",
        "cd /etc/keel/tls/pgbouncer && chmod 750 . && chmod 600 key.pem",
        "test_doors.test_a_key_is_its_accounts_own", "PLAT-49", also=("test_hosts.test_owners_and_modes",),
    ),
    "member of the store": Breaker(
        Where.EDGE,
        _ETCD + "etcd member add keel-broken --learner --peer-urls=https://192.0.2.1:2380 > /dev/null",
        _ETCD + "etcd member remove $(etcd member list | grep 192.0.2.1 | cut -d, -f1) > /dev/null",
        "test_etcd.test_members", "X-23",
    ),
    "memory": Breaker(
        Where.PRIMARY, *_setting("work_mem", "'9MB'"), "test_postgres.test_memory", "ADA-01",
        also=("test_postgres.test_nothing_set_by_hand",),
    ),
    "logging": Breaker(Where.PRIMARY, *_setting("log_statement", "'none'"), "test_postgres.test_what_is_logged", "BAC-06"),
    "log prefix": Breaker(Where.REPLICA, *_setting("log_line_prefix", "'%m '"), "test_postgres.test_log_prefix", "BAC-07"),
    "slot's bound": Breaker(
        Where.PRIMARY, *_setting("max_slot_wal_keep_size", "-1"), "test_postgres.test_slots_are_bounded", "PLAT-38"
    ),
    "autovacuum": Breaker(Where.PRIMARY, *_setting("autovacuum", "off"), "test_postgres.test_autovacuum", "PLAT-46"),
    "access rule": Breaker(  # read by the test, never by the server: it is not reloaded
        Where.PRIMARY,
        f"sed -i '1i host all all 0.0.0.0/0 trust' {_HBA}",
        f"sed -i 1d {_HBA}",
        "test_postgres.test_access_rules", "PLAT-39", also=(
            "test_postgres.test_only_declared_logins",
            # Another one of these makes the server read it.
            "test_endpoints.test_primary_refuses_plaintext", "test_endpoints.test_service_logins_do_not_come",
        ),
    ),
    "network past the pooler": Breaker(  # not reloaded either
        Where.REPLICA,
        f"sed -i '1i hostssl all all 10.0.0.0/8 scram-sha-256' {_HBA}",
        f"sed -i 1d {_HBA}",
        "test_postgres.test_only_declared_logins", "PLAT-41",
    ),
    "certificate": Breaker(
        Where.REPLICA,
        f"cd {_TLS} && cp -p cert.pem key.pem /run/ && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        f"-subj /CN=elsewhere -keyout /run/other.key -out cert.pem 2>/dev/null && cat /run/other.key > key.pem && {_RELOAD}",
        f"cd {_TLS} && cat /run/cert.pem > cert.pem && cat /run/key.pem > key.pem && rm /run/cert.pem /run/*.key "
        f"/run/key.pem && {_RELOAD}",
        "test_tls.test_chain", "PLAT-39",
        also=(
            "test_replication.test_replicas_refuse_writes",
            # Where the replica is the first database host, which is asked first.
            "test_replication.test_timing", "test_backup.test_the_archive_is_watched",
        ),
    ),
    # What is done to the replica itself (paused or delayed replay) does not last: Patroni undoes it.
    "synchronous replica": Breaker(
        Where.PRIMARY,
        _setting("synchronous_standby_names", "''")[0],
        _setting("synchronous_standby_names", "''")[1] + f" && {_SYNCHRONOUS}",
        "test_replication.test_synchronous", "PLAT-37",
    ),
    "pool size": Breaker(
        Where.EDGE, _pooler("set default_pool_size = 7"), _pooler("reload"), "test_pgbouncer.test_pool_sizes", "JEEX-17"
    ),
    "prepared statements": Breaker(
        Where.EDGE, _pooler("set max_prepared_statements = 0"), "systemctl reload pgbouncer",
        "test_pgbouncer.test_prepared_statements_are_tracked", "PLAT-23",
        also=("test_prepared.test_psycopg", "test_prepared.test_asyncpg"),
    ),
    "pooler's clients": Breaker(  # read by the test, never by the pooler: it is not reloaded before it is repaired
        Where.EDGE,
        "echo 'host all all 0.0.0.0/0 trust' >> /etc/pgbouncer/pg_hba.conf",
        "sed -i '$d' /etc/pgbouncer/pg_hba.conf",
        "test_pgbouncer.test_passwords_are_looked_up", "PLAT-22",
        also=("test_pgbouncer.test_clients_come_from_listed_networks",),
    ),
    "clients' networks": Breaker(
        Where.EDGE,
        "sed -i '1i hostssl all all 10.0.0.0/8 scram-sha-256' /etc/pgbouncer/pg_hba.conf",
        "sed -i 1d /etc/pgbouncer/pg_hba.conf",
        "test_pgbouncer.test_clients_come_from_listed_networks", "JEEX-33",
    ),
    "walls of a service": Breaker(
        Where.OTHER,
        f"mv {_WALLS} /run/keel-broken.conf && systemctl daemon-reload && systemctl restart keel-pgbackrest.service",
        f"mv /run/keel-broken.conf {_WALLS} && systemctl daemon-reload && systemctl restart keel-pgbackrest.service",
        "test_sandboxes.test_nobody_is_root", "PLAT-49",
        also=("test_sandboxes.test_exposure", "test_hosts.test_owners_and_modes"),
    ),
    "proxy's limit": Breaker(
        Where.EDGE,
        "sed -i.kept 's/^    maxconn .*/    maxconn 1234/' /etc/haproxy/haproxy.cfg && systemctl reload haproxy.service",
        "cat /etc/haproxy/haproxy.cfg.kept > /etc/haproxy/haproxy.cfg && rm /etc/haproxy/haproxy.cfg.kept && "
        "systemctl reload haproxy.service",
        "test_haproxy.test_limits", "PLAT-03",
    ),
    "cache's memory": Breaker(
        Where.CACHE,
        "sed -i.kept 's/^maxmemory .*/maxmemory 64mb/' /etc/redis/redis.conf && systemctl restart redis-server.service",
        "cat /etc/redis/redis.conf.kept > /etc/redis/redis.conf && rm /etc/redis/redis.conf.kept && "
        "systemctl restart redis-server.service",
        "test_redis.test_settings", "BAC-25",
    ),
    "key pair of another service": Breaker(  # read by the test, never by Redis: it is not restarted any more
        Where.CACHE,
        "cd /etc/keel/tls && cp -p redis/cert.pem redis/key.pem /run/ && for f in cert key; do cat etcd/$f.pem > redis/$f.pem; done",
        "cd /etc/keel/tls && for f in cert key; do cat /run/$f.pem > redis/$f.pem && rm /run/$f.pem; done",
        "test_doors.test_a_key_pair_opens_its_own_door", "X-23",
    ),
    "power of the application": Breaker(
        Where.PRIMARY, _sql("alter role jeex_user createdb"), _sql("alter role jeex_user nocreatedb"),
        "test_roles.test_application[", "PLAT-09",
    ),
    "membership": Breaker(
        Where.PRIMARY, _sql("grant jeex_idea_migrator to jeex_user"), _sql("revoke jeex_idea_migrator from jeex_user"),
        "test_roles.test_application_becomes_nobody", "PLAT-19", also=("test_roles.test_connect",),
    ),
    "open database": Breaker(
        Where.PRIMARY, _sql("grant connect on database postgres to public"),
        _sql("revoke connect on database postgres from public"),
        "test_roles.test_connect", "PLAT-10", also=("test_roles.test_jeex_user",),
    ),
    "password": Breaker(
        Where.PRIMARY,
        "umask 077 && psql -U postgres -XAtqc \"select format('set log_statement = none; alter role %I password %L', rolname, rolpassword) "
        "from pg_authid where rolname = 'keel_monitor'\" > /run/keel-broken.sql && "
        + _sql("alter role keel_monitor password 'password'"),
        "psql -U postgres -Xq -v ON_ERROR_STOP=1 -f /run/keel-broken.sql && rm /run/keel-broken.sql",
        "test_roles.test_passwords", "PLAT-11",
    ),
    "timeout": Breaker(
        Where.PRIMARY,
        _sql("alter role jeex_user set statement_timeout = '1min'") + f" && {_RECONNECT}",
        _sql("alter role jeex_user set statement_timeout = '10s'") + f" && {_RECONNECT}",
        "test_roles.test_timeouts", "ADA-02",
    ),
    "undeclared database": Breaker(
        Where.PRIMARY, _sql("create database keel_broken"), _sql("drop database keel_broken"),
        "test_databases.test_one_per_product", "PLAT-05", also=("test_roles.test_connect", "test_roles.test_jeex_user"),
    ),
    "extension": Breaker(
        Where.PRIMARY, _sql("create extension pg_trgm"), _sql("drop extension pg_trgm"),
        "test_databases.test_extensions", "PLAT-06",
    ),
    "revision": Breaker(
        Where.PRIMARY,
        _sql("update alembic.alembic_version set version_num = 'gone' || version_num"),
        _sql("update alembic.alembic_version set version_num = substr(version_num, 5)"),
        "test_databases.test_head", "PLAT-26", also=("test_roles.test_admitted_at_head",),
    ),
    "index": Breaker(
        Where.PRIMARY, _sql("create index keel_broken on exports (file_path)"), _sql("drop index keel_broken"),
        "test_databases.test_schema_is_the_models", "PLAT-14", also=("test_databases.test_catalogue[jeex_idea]",),
    ),
    "trigger": Breaker(
        Where.PRIMARY,
        _sql("alter table users disable trigger users_touch_updated_at"),
        _sql("alter table users enable trigger users_touch_updated_at"),
        "test_databases.test_updated_at", "PLAT-12",
        also=("test_rls.test_updated_at_moves[", "test_databases.test_functions_policies_grants"),
    ),
    "forced row security": Breaker(
        Where.PRIMARY,
        _sql("alter table projects no force row level security"),
        _sql("alter table projects force row level security"),
        "test_rls.test_enabled_and_forced", "PLAT-15",
    ),
    "policy": Breaker(
        Where.PRIMARY,
        _sql(f"{_POLICY} (true)"),
        _sql(f"{_POLICY} (project_id = any (array(select p.id from projects p)))"),
        "test_rls.test_own_rows_and_nothing_else[", "JEEX-15",
        also=("test_rls.test_nothing_in_anothers_name", "test_rls.test_no_way_around"),
    ),
    "identity left behind": Breaker(
        Where.PRIMARY,
        _sql("alter database jeex_idea set app.current_user_id = '01900000-0000-7000-8000-00000000ffff'")
        + f" && {_RECONNECT}",
        _sql("alter database jeex_idea reset app.current_user_id") + f" && {_RECONNECT}",
        "test_rls.test_no_identity_is_left_behind", "PLAT-17", also=("test_databases.test_settings[jeex_idea]",),
    ),
}  # fmt: skip
"""What is broken → how."""
