"""Stack files that must be refused, as data, and the four that must load."""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Network
from typing import Any, NamedTuple

import pytest
from pydantic import Field, ValidationError

from environment import load, program
from environment.load import InvalidStack, parse
from environment.manifest import Manifest
from environment.settings import Patroni, Pgbouncer, Postgres, ProductSettings, SecondRepository, Settings
from environment.types import Model
from roles.postgres.parameters import dynamic_configuration
from tests.unit.stacks import REMOVED, ROOTS, config

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class Bad(NamedTuple):
    """A change to a real stack file, the path that is refused, and words of what is said of it."""

    name: str
    stack: str
    patch: dict[str, Any]
    path: str
    words: str


DOCUMENTED = {"postgres.shared_buffers": 256, "postgres.work_mem": 8, "postgres.maintenance_work_mem": 128}
"""ADA-01's sizes, set."""

TYPES = [
    Bad("minute that no hour has", "dev", {"schedule.full": "99 2 * * *"}, "schedule.full", "five fields of numbers"),
    Bad("four fields", "dev", {"schedule.full": "0 2 * *"}, "schedule.full", "five fields of numbers"),
    Bad("no full backup (ADA-23)", "dev", {"schedule.full": "off"}, "schedule.full", "five fields of numbers"),
    Bad("30 February", "dev", {"schedule.full": "0 2 30 2 *"}, "schedule.full", "it comes every year"),
    Bad("29 February", "dev", {"schedule.drill": "0 4 29 2 *"}, "schedule.drill", "it comes every year"),
    Bad("31st of short months", "production", {"schedule.full": "0 2 31 4,6,9,11 *"}, "schedule.full", "every year"),
    Bad(
        "a slip in a date",
        "dev",
        {"recovery": {"token": "one", "to": "2026-02-30T00:00:00Z"}},
        "recovery.to",
        "no time",
    ),
    Bad("span backwards", "dev", {"schedule.incremental": "0 20-8 * * *"}, "schedule.incremental", "or off"),
    Bad(
        "no end of a recovery",
        "dev",
        {"recovery": {"token": "one", "to": "some time"}},
        "recovery.to",
        "latest, a time such as",
    ),
    Bad("token", "dev", {"recovery": {"token": "A token"}}, "recovery.token", "lower-case letters, digits and hyphens"),
    Bad("no backup host", "dev", {"hosts.ops1.groups": ["monitor"]}, "hosts", "carries the group 'backup'"),
    Bad(
        "two backup hosts",
        "dev",
        {"hosts.edge1.groups": ["edge", "redis", "etcd", "backup"]},
        "hosts",
        "exactly one host",
    ),
    Bad("unknown section", "dev", {"postgers": {}}, "postgers", "a known section"),
    Bad("unknown setting", "dev", {"postgres.max_conections": 50}, "postgres.max_conections", "max_connections"),
    Bad("unknown inner setting", "dev", {"network.published.etcd": 2379}, "network.published.etcd", "pgbouncer"),
    Bad("missing section", "dev", {"network": REMOVED}, "network", "required"),
    Bad("missing setting", "dev", {"hosts.db1.address": REMOVED}, "hosts.db1.address", "address inside network.cidr"),
    Bad("text for a number", "dev", {"patroni.ttl": "20"}, "patroni.ttl", "integer"),
    Bad("fraction for a number", "dev", {"patroni.ttl": 20.5}, "patroni.ttl", "integer"),
    Bad("truth for a number", "dev", {"postgres.max_connections": True}, "postgres.max_connections", "integer"),
    Bad("number for truth", "dev", {"postgres.synchronous": 1}, "postgres.synchronous", "boolean"),
    Bad("word for truth", "dev", {"postgres.synchronous": "yes"}, "postgres.synchronous", "boolean"),
    Bad("number for text", "dev", {"postgres.log_file_mode": 644}, "postgres.log_file_mode", "'0644'"),
    Bad("list for a mapping", "dev", {"hosts": [{"address": "10.88.0.11"}]}, "hosts", "`name: value`"),
    Bad("text for a list", "dev", {"hosts.db1.groups": "postgres"}, "hosts.db1.groups", "array"),
    Bad("nothing for a mapping", "dev", {"products.jeex_idea": None}, "products.jeex_idea", "{}"),
    Bad("number for a mapping", "dev", {"redis": 256}, "redis", "`name: value`"),
    Bad("infinite number", "dev", {"hosts.db1.cpus": float("inf")}, "hosts.db1.cpus", "from 0.1 to 1024, or auto"),
    Bad("number as a name", "dev", {"hosts": {1: {"address": "10.88.0.11", "groups": []}}}, "hosts.1", "lower-case"),
]

VALUES = [
    Bad("unknown kind", "dev", {"environment.kind": "prod"}, "environment.kind", "'production'"),
    Bad("unknown provider", "dev", {"environment.provider": "aws"}, "environment.provider", "'docker' or 'ssh'"),
    Bad("unknown release", "dev", {"release.debian": "sid"}, "release.debian", "'forky'"),
    Bad("unknown group", "dev", {"hosts.db1.groups": ["postgres", "etcd", "db"]}, "hosts.db1.groups.2", "'monitor'"),
    Bad("full archive", "dev", {"repository.archive_full": "stop"}, "repository.archive_full", "'keep' or 'drop'"),
    Bad("tiny limit", "dev", {"repository.archive_limit": 16}, "repository.archive_limit", "greater than or equal to 64"),
    Bad("no group", "dev", {"hosts.ops1.groups": []}, "hosts.ops1.groups", "at least 1"),
    Bad("no hosts", "dev", {"hosts": {}}, "hosts", "at least 1"),
    Bad("no products", "dev", {"products": {}}, "products", "at least 1"),
    Bad("upper case host", "dev", {"hosts.DB3": {"address": "10.88.0.13", "groups": ["backup"]}}, "hosts.DB3", "lower"),
    Bad("host ends in -", "dev", {"hosts.db-": {"address": "10.88.0.13", "groups": ["backup"]}}, "hosts.db-", "inner"),
    Bad("host with a dot", "dev", {"hosts": {"a.b": {"address": "10.88.0.13"}}}, "hosts.a.b", "lower-case letters"),
    Bad("a service's name", "dev", {"hosts.primary": {"address": "10.88.0.9", "groups": ["backup"]}}, "hosts.primary",
        "a name that no service has"),
    Bad("negative size", "dev", {"postgres.shared_buffers": -256}, "postgres.shared_buffers", "greater than"),
    Bad("zero size", "dev", {"redis.maxmemory": 0}, "redis.maxmemory", "greater than"),
    Bad("huge size", "dev", {"postgres.work_mem": 10**12}, "postgres.work_mem", "less than"),
    Bad("more than 64 bits", "dev", {"hosts.db1.memory": 10**30}, "hosts.db1.memory", "128 to 2097151, or auto"),
    Bad("no time", "dev", {"pgbouncer.query_wait_timeout": -1}, "pgbouncer.query_wait_timeout", "greater than"),
    Bad("senseless memory", "dev", {"hosts.ops1.memory": 1}, "hosts.ops1.memory", "MiB from 128"),
    Bad("no such size", "dev", {"hosts.db1.memory": "much"}, "hosts.db1.memory", "or auto"),
    Bad("a machine's own memory", "staging", {"hosts.db1.memory": "auto"}, "hosts.db1.memory", "free -m"),
    Bad("a machine's own cores", "staging", {"hosts.edge1.cpus": "auto"}, "hosts.edge1.cpus", "nproc"),
    Bad("no CPU", "dev", {"hosts.db1.cpus": 0}, "hosts.db1.cpus", "from 0.1"),
    Bad("port 0", "dev", {"ports.patroni": 0}, "ports.patroni", "greater than"),
    Bad("another port for PostgreSQL", "dev", {"ports.postgres": 5433}, "ports.postgres", "5432"),
    Bad("port 65536", "dev", {"network.published.primary": 65536}, "network.published.primary", "65535"),
    Bad("port of root", "dev", {"ports.patroni": 80}, "ports.patroni", "1024"),
    Bad("another sshd port", "dev", {"ports.ssh": 2222}, "ports.ssh", "22"),
    Bad("synchronous I/O (JEEX-02)", "dev", {"postgres.io_method": "sync"}, "postgres.io_method", "'io_uring'"),
    Bad("a locale no host has", "dev", {"postgres.locale": "de_DE.UTF-8"}, "postgres.locale", "'C.UTF-8'"),
    Bad("no day of logs", "dev", {"postgres.log_retention_days": 0}, "postgres.log_retention_days", "1"),
    Bad("values in production's log", "production", {"postgres.log_values": True}, "postgres.log_values", "X-42"),
    Bad("logs for all", "dev", {"postgres.log_file_mode": "0777"}, "postgres.log_file_mode", "'0640'"),
    Bad("unknown policy", "dev", {"redis.maxmemory_policy": "lru"}, "redis.maxmemory_policy", "'allkeys-lru'"),
    Bad("a bucket in capitals", "dev", {"repository.second": {"endpoint": "s3.example", "bucket": "Backups"}},
        "repository.second.bucket", "lower-case"),
    Bad("a path that ends in /", "dev",
        {"repository.second": {"endpoint": "s3.example", "bucket": "backups", "path": "/keel/"}},
        "repository.second.path", "without a slash"),
    Bad("no certificate", "dev",
        {"repository.second": {"endpoint": "s3.example", "bucket": "backups", "ca": "ca.pem"}},
        "repository.second.ca", "PEM text"),
    Bad("a URL as endpoint", "dev", {"repository.second": {"endpoint": "https://s3.example", "bucket": "backups"}},
        "repository.second.endpoint", "DNS name"),
    Bad("a key among the settings", "dev",
        {"repository.second": {"endpoint": "s3.example", "bucket": "backups", "key": "x"}}, "repository.second.key", "bucket"),
    Bad("IPv6 network", "dev", {"network.cidr": "fd00::/64"}, "network.cidr", "IPv4"),
    Bad("host bits", "dev", {"network.cidr": "10.88.0.1/24"}, "network.cidr", "without host bits"),
    Bad("IPv6 address", "dev", {"hosts.db1.address": "fe80::1"}, "hosts.db1.address", "IPv4"),
    Bad("no address", "dev", {"hosts.db1.address": "10.88.0.256"}, "hosts.db1.address", "IPv4"),
    Bad("clients with host bits", "dev", {"network.clients": ["10.0.0.1/8"]}, "network.clients.0", "host bits"),
    Bad("key without base64", "staging", {"hosts.db1.ssh.host_key": "ssh-ed25519 ..."}, "hosts.db1.ssh.host_key",
        "ssh-keyscan"),
    Bad("key of another type", "staging", {"hosts.db1.ssh.host_key": f"ecdsa-sha2-nistp256 {KEY.split()[1]}"},
        "hosts.db1.ssh.host_key", "ssh-keyscan"),
    Bad("an option as hostname", "staging", {"hosts.db1.ssh.hostname": "-oProxyCommand=x"}, "hosts.db1.ssh.hostname",
        "DNS name"),
]  # fmt: skip

RULES = [
    Bad("two etcd members", "dev", {"hosts.edge1.groups": ["edge", "redis"]}, "hosts", "odd"),
    Bad("no etcd", "ci", {"hosts.all1.groups": ["postgres", "edge", "redis"]}, "hosts", "'etcd'"),
    Bad("no edge", "dev", {"hosts.edge1.groups": ["redis", "etcd"]}, "hosts", "'edge'"),
    Bad("two Redis", "dev", {"hosts.ops1.groups": ["redis"]}, "hosts", "exactly one"),
    Bad("replica without a host", "ci", {"postgres.replicas": 1}, "postgres.replicas", "0, one less"),
    Bad("no parameter", "dev", {"postgres.parameters": {"dead_lock_timeout": 1}}, "postgres.parameters.dead_lock_timeout", "a parameter of PostgreSQL 18, such as deadlock_timeout"),
    Bad("of another major", "dev", {"postgres.parameters": {"db_user_namespace": True, "vacuum_defer_cleanup_age": 1}}, "postgres.parameters.vacuum_defer_cleanup_age", "a parameter of PostgreSQL 18"),
    Bad("a wrong unit", "dev", {"postgres.parameters": {"deadlock_timeout": "1MB"}}, "postgres.parameters.deadlock_timeout", "a number from 1 to 2147483647, in ms or with one of the units ['us', 'ms', 's', 'min', 'h', 'd']"),
    Bad("beyond its range", "dev", {"postgres.parameters": {"from_collapse_limit": 0}}, "postgres.parameters.from_collapse_limit", "a number from 1 to 2147483647"),
    Bad("a broken number", "dev", {"postgres.parameters": {"from_collapse_limit": 1.5}}, "postgres.parameters.from_collapse_limit", "a whole number"),
    Bad("no choice", "dev", {"postgres.parameters": {"huge_pages": "maybe"}}, "postgres.parameters.huge_pages", "one of ['off', 'on', 'try']"),
    Bad("no switch", "dev", {"postgres.parameters": {"jit": "maybe"}}, "postgres.parameters.jit", "on or off"),
    Bad("a setting of its own", "dev", {"postgres.parameters": {"work_mem": "8MB"}}, "postgres.parameters.work_mem", "not here: it has a setting of its own, keel:postgres.<its name>"),
    Bad("Patroni's", "dev", {"postgres.parameters": {"port": 5433}}, "postgres.parameters.port", "not here: Patroni gives it"),
    Bad("what keeps rows", "dev", {"postgres.parameters": {"fsync": False}}, "postgres.parameters.fsync", "acknowledged rows could be lost"),
    Bad("how it was built", "dev", {"postgres.parameters": {"block_size": 8192}}, "postgres.parameters.block_size", "how the server was built"),
    Bad("a text", "dev", {"postgres.parameters": {"application_name": "x"}}, "postgres.parameters.application_name", "the server alone knows"),
    Bad("an extension's", "dev", {"postgres.parameters": {"pg_stat_statements.max": 1}}, "postgres.parameters.pg_stat_statements.max", "without a dot"),
    Bad("a delay of no host", "dev", {"postgres.apply_delay": {"db9": 60}}, "postgres.apply_delay.db9", "['db1', 'db2']"),
    Bad("a delay of hours", "dev", {"postgres.apply_delay": {"db2": 20_000}}, "postgres.apply_delay.db2", "10080"),
    Bad("only a delayed standby (PLAT-37)", "dev", {"postgres.apply_delay": {"db2": 60}}, "postgres.apply_delay", "at least 2 of ['db1', 'db2'] without a delay: a primary, and a replica that confirms"),
    Bad("nobody to lead", "dev", {"postgres.apply_delay": {"db1": 1, "db2": 60}, "postgres.synchronous": False}, "postgres.apply_delay", "at least 1"),
    Bad("host without a replica", "dev", {"postgres.replicas": 0}, "postgres.replicas", "1, one less"),
    Bad("address outside", "dev", {"hosts.db1.address": "10.99.0.11"}, "hosts.db1.address", "inside 10.88.0.0/24"),
    Bad("the gateway's address", "dev", {"hosts.db1.address": "10.88.0.1"}, "hosts.db1.address", "gateway"),
    Bad("broadcast address", "dev", {"hosts.db1.address": "10.88.0.255"}, "hosts.db1.address", "broadcast"),
    Bad("one address twice", "dev", {"hosts.db2.address": "10.88.0.11"}, "hosts.db2.address", "no other host"),
    Bad("the whole internet", "dev", {"network.cidr": "0.0.0.0/0"}, "network.cidr", "/8 to /29"),
    Bad("a network of one", "dev", {"network.cidr": "255.255.255.255/32"}, "network.cidr", "/8 to /29"),
    Bad("loopback network", "dev", {"network.cidr": "127.0.0.0/8"}, "network.cidr", "hosts can have"),
    Bad("two services, one port", "dev", {"ports.redis": 6432}, "ports.redis", "also pgbouncer"),
    Bad("published twice", "dev", {"network.published.redis": 5220}, "network.published.redis", "published.primary"),
    Bad("published over sshd", "dev", {"network.published.primary": 2211}, "network.published.ssh (for host edge1)",
        "published.primary"),
    Bad("sshd past the last port", "dev", {"network.published.ssh": 65534}, "network.published.ssh (for host edge1)",
        "65535"),
    Bad("machine without SSH", "dev", {"environment.provider": "ssh"}, "hosts.db1.ssh", "hostname and host_key"),
    Bad("container with SSH", "dev", {"hosts.db1.ssh": {"hostname": "a", "host_key": KEY}}, "hosts.db1.ssh", "nothing"),
    Bad("two hosts, one machine", "staging", {"hosts.db2.ssh.hostname": "db1.staging.example"},
        "hosts.db2.ssh.hostname", "no other host"),
    Bad("a major the release lacks", "dev", {"release.postgres": 17}, "release.postgres", "one of [18]"),
    Bad("an old major", "dev", {"release.source": "pgdg", "release.postgres": 14}, "release.postgres", "15, 16, 17, 18"),
    Bad("too old a pooler", "dev", {"release.debian": "bookworm", "release.postgres": 15}, "release.debian", "PLAT-23"),
    Bad("unknown product", "dev", {"products.jeex": {}}, "products.jeex", "jeex_idea"),
    Bad("connection budget", "dev", {"postgres.max_connections": 60}, "postgres.max_connections", "at least 100"),
    Bad("budget of two edges", "staging", {"postgres.max_connections": 295}, "postgres.max_connections", "at least 296"),
    Bad("no direct reserve (PLAT-20)", "dev", {"postgres.direct_reserve": 9}, "postgres.direct_reserve", "equal to 10"),
    Bad("a transaction without an end (W9)", "dev", {"products.jeex_idea.transaction": 0}, "products.jeex_idea.transaction", "equal to 1"),
    Bad("never forgotten (W9)", "dev", {"products.jeex_idea.idle_transaction": 0}, "products.jeex_idea.idle_transaction", "equal to 1"),
    Bad("all connections for one address (W8)", "dev", {"haproxy.client_connections": 92}, "haproxy.client_connections", "less than 92"),
    Bad("a database's: no parameter", "dev", {"products.jeex_idea.settings": {"work_memory": 1}}, "products.jeex_idea.settings.work_memory", "such as work_mem"),
    Bad("a database's: a wrong unit", "dev", {"products.jeex_idea.settings": {"work_mem": "1s"}}, "products.jeex_idea.settings.work_mem", "in kB or with one of the units"),
    Bad("a database's: beyond its range", "ci", {"products.jeex_idea.settings": {"seq_page_cost": -1}}, "products.jeex_idea.settings.seq_page_cost", "a number from 0"),
    Bad("a database's: the server's", "dev", {"products.jeex_idea.settings": {"max_wal_size": "2GB"}}, "products.jeex_idea.settings.max_wal_size", "one value for all databases"),
    Bad("a database's: at the start", "dev", {"products.jeex_idea.settings": {"huge_pages": "off"}}, "products.jeex_idea.settings.huge_pages", "one value for all databases"),
    Bad("a database's: the connections", "dev", {"products.jeex_idea.settings": {"max_connections": 7}}, "products.jeex_idea.settings.max_connections", "it has a setting of its own"),
    Bad("a database's: what keeps rows", "dev", {"products.jeex_idea.settings": {"synchronous_commit": "off"}}, "products.jeex_idea.settings.synchronous_commit", "acknowledged rows could be lost"),
    Bad("a database's: a matter of roles", "dev", {"products.jeex_idea.settings": {"statement_timeout": "1s"}}, "products.jeex_idea.settings.statement_timeout", "it is a matter of a role"),
    Bad("a database's: bounded by logins", "dev", {"products.jeex_idea.settings": {"temp_file_limit": "1GB"}}, "products.jeex_idea.settings.temp_file_limit", "keel:products.<name>.temp_files"),
    Bad("from clients: no parameter", "dev", {"products.jeex_idea.startup": {"statement_time": "1s"}}, "products.jeex_idea.startup.statement_time", "such as statement_timeout"),
    Bad("from clients: no parameter of this major", "dev", {"products.jeex_idea.startup": {"force_parallel_mode": "off"}}, "products.jeex_idea.startup.force_parallel_mode", "a parameter of PostgreSQL 18"),
    Bad("from clients: a wrong unit", "dev", {"products.jeex_idea.startup": {"lock_timeout": "1MB"}}, "products.jeex_idea.startup.lock_timeout", "in ms or with one of the units"),
    Bad("from clients: beyond its range", "ci", {"products.jeex_idea.startup": {"extra_float_digits": 4}}, "products.jeex_idea.startup.extra_float_digits", "from -15 to 3"),
    Bad("from clients: no choice", "ci", {"products.jeex_idea.startup": {"default_transaction_isolation": "strict"}}, "products.jeex_idea.startup.default_transaction_isolation", "repeatable read"),
    Bad("from clients: longer than the product's limit (ADA-02)", "dev", {"products.jeex_idea.startup": {"statement_timeout": "11s"}}, "products.jeex_idea.startup.statement_timeout", "at most 10s"),
    Bad("from clients: no limit (ADA-02)", "dev", {"products.jeex_idea.startup": {"statement_timeout": 0}}, "products.jeex_idea.startup.statement_timeout", "more than 0"),
    Bad("from clients: an idle transaction (W9)", "dev", {"products.jeex_idea.startup": {"idle_in_transaction_session_timeout": "2min"}}, "products.jeex_idea.startup.idle_in_transaction_session_timeout", "at most 60s"),
    Bad("from clients: a long transaction (W9)", "dev", {"products.jeex_idea.startup": {"transaction_timeout": "1h"}}, "products.jeex_idea.startup.transaction_timeout", "at most 600s"),
    Bad("from clients: no client's", "dev", {"products.jeex_idea.startup": {"deadlock_timeout": "1s"}}, "products.jeex_idea.startup.deadlock_timeout", "takes it from no client"),
    Bad("from clients: temporary files (W9)", "dev", {"products.jeex_idea.startup": {"temp_file_limit": -1}}, "products.jeex_idea.startup.temp_file_limit", "takes it from no client"),
    Bad("from clients: what is carried", "dev", {"products.jeex_idea.startup": {"timezone": "UTC"}}, "products.jeex_idea.startup.timezone", "carries it already"),
    Bad("from clients: what is carried, by one that follows no list", "dev", {"products.jeex_idea.startup": {"intervalstyle": "iso_8601"}}, "products.jeex_idea.startup.intervalstyle", "carries it already"),
    Bad("from clients: where names are looked up", "dev", {"products.jeex_idea.startup": {"search_path": "x"}}, "products.jeex_idea.startup.search_path", "SET LOCAL"),
    Bad("from clients: whose rows", "dev", {"products.jeex_idea.startup": {"row_security": "off"}}, "products.jeex_idea.startup.row_security", "whose rows it sees"),
    Bad("from clients: the role", "dev", {"products.jeex_idea.startup": {"role": "postgres"}}, "products.jeex_idea.startup.role", "a parameter of PostgreSQL 18"),
    Bad("from clients: the pooler's waiting connections", "dev", {"products.jeex_idea.startup": {"idle_session_timeout": "1min"}}, "products.jeex_idea.startup.idle_session_timeout", "the pooler's connections"),
    Bad("from clients: what keeps rows", "dev", {"products.jeex_idea.startup": {"synchronous_commit": "off"}}, "products.jeex_idea.startup.synchronous_commit", "acknowledged rows could be lost"),
    Bad("a revision nobody wrote (RIQ-26)", "dev", {"products.jeex_idea.revision": "999"},
        "products.jeex_idea.revision", "001_users_projects_document_versions"),
    Bad("half a revision's name", "dev", {"products.jeex_idea.revision": "001_users"},
        "products.jeex_idea.revision", "001_users_projects_document_versions"),
    Bad("a revision with a dash", "dev", {"products.jeex_idea.revision": "001-users"},
        "products.jeex_idea.revision", "number or time in front"),
    Bad("a revision as a number", "dev", {"products.jeex_idea.revision": 3}, "products.jeex_idea.revision", "quotes"),
    Bad("no such reset", "dev", {"pgbouncer.reset": "everything"}, "pgbouncer.reset", "identity"),
    Bad("minimum above its pool", "dev", {"pgbouncer.min_pool_size": 21}, "pgbouncer.min_pool_size", "at most"),
    Bad("too few in the proxy", "dev", {"haproxy.maxconn": 50}, "haproxy.maxconn", "at least 95"),
    Bad("small host", "dev", {"hosts.db1.memory": 454}, "hosts.db1.memory", "at least 455"),
    Bad("documented sizes on a small host", "dev", {"hosts.db1.memory": 1024, **DOCUMENTED}, "hosts.db1.memory", "at least 1536"),
    Bad(
        "small host of every kind",
        "dev",
        {
            **DOCUMENTED,
            "hosts.db1.memory": 1535,
            "hosts.db1.groups": ["postgres", "etcd", "backup", "monitor"],
            "hosts.ops1.groups": ["etcd"],
            "hosts.edge1.groups": ["edge", "redis"],
        },
        "hosts.db1.memory",
        "at least 1536",
    ),
    Bad("work_mem × connections (X-19)", "dev", {"postgres.work_mem": 16}, "hosts.db1.memory", "at least 2251"),
    Bad("Redis beside the rest", "dev", {"redis.maxmemory": 1024}, "hosts.edge1.memory", "at least 1312"),
    Bad("cache beyond memory", "dev", {"postgres.effective_cache_size": 4096}, "postgres.effective_cache_size", "2048"),
    Bad("cache below buffers", "dev", {"postgres.effective_cache_size": 128}, "postgres.effective_cache_size", "256"),
    Bad("no preset", "dev", {"patroni.ha": "quick"}, "patroni.ha", "fast"),
    Bad("safe with one replica", "dev", {"patroni.ha": "safe"}, "patroni.ha", "fewer than two replicas"),
    Bad("safe without waiting", "dev", {"patroni.ha": "safe", "postgres.replicas": 2, "postgres.synchronous": False}, "patroni.ha", "fewer than two"),
    Bad("safe and delayed", "production", {"patroni.ha": "safe", "postgres.apply_delay": {"db3": 60}}, "patroni.ha", "fewer than two"),
    Bad("short lease", "dev", {"patroni.ttl": 19}, "patroni.ttl", "equal to 20"),
    Bad("lease and retries", "dev", {"patroni.retry_timeout": 10}, "patroni.ttl", "loop_wait + 2 * retry_timeout = 22"),
    Bad("no pause", "dev", {"patroni.loop_wait": 0}, "patroni.loop_wait", "equal to 1"),
    Bad("short retry", "dev", {"patroni.retry_timeout": 2}, "patroni.retry_timeout", "equal to 3"),
    Bad("etcd's election", "dev", {"etcd.election_ms": 400}, "etcd.election_ms", "500"),
    Bad("production without replica", "production", {"postgres.replicas": 0}, "postgres.replicas", "X-18"),
    Bad("asynchronous production", "production", {"postgres.synchronous": False}, "postgres.synchronous", "true in"),
    Bad("one etcd in staging", "staging", {"hosts.db1.groups": ["postgres"], "hosts.db2.groups": ["postgres"]}, "hosts",
        "at least three"),
    Bad("open production", "production", {"network.clients": ["0.0.0.0/0"]}, "network.clients", "PLAT-41"),
    Bad("open staging", "staging", {"network.clients": ["10.9.0.0/16", "0.0.0.0/0"]}, "network.clients", "PLAT-41"),
    Bad("containers in staging", "staging",
        {**{f"hosts.{name}.ssh": REMOVED for name in ("db1", "db2", "db3", "edge1", "edge2", "ops1")},
         "environment.provider": "docker", "network.containers": "192.0.2.128/25"}, "network.containers", "off in staging"),
    Bad("containers at machines", "dev",
        {"environment.provider": "ssh", "network.containers": "10.88.0.128/25"}, "network.containers", "hosts are machines"),
    Bad("containers elsewhere", "dev", {"network.containers": "10.89.0.128/25"}, "network.containers", "inside 10.88.0.0/24"),
    Bad("containers at the gateway", "dev", {"network.containers": "10.88.0.0/29"}, "network.containers", "gateway"),
    Bad("a host among containers", "dev", {"network.containers": "10.88.0.16/28"}, "hosts.edge1.address", "outside 10.88.0.16/28"),
    Bad("containers with host bits", "dev", {"network.containers": "10.88.0.129/25"}, "network.containers", "or off"),
    Bad("a network of four", "dev", {"network.cidr": "10.88.0.0/30"}, "network.cidr", "/8 to /29"),
    Bad("a network of /7", "dev", {"network.cidr": "10.0.0.0/7"}, "network.cidr", "/8 to /29"),
    Bad("the network's address", "dev", {"hosts.db1.address": "10.88.0.0"}, "hosts.db1.address", "not the network's"),
    Bad("multicast network", "dev", {"network.cidr": "224.0.0.0/8"}, "network.cidr", "hosts can have"),
    Bad("link-local network", "dev", {"network.cidr": "169.254.0.0/16"}, "network.cidr", "hosts can have"),
    Bad("reserved network", "dev", {"network.cidr": "240.0.0.0/8"}, "network.cidr", "hosts can have"),
]  # fmt: skip


@pytest.mark.parametrize("bad", TYPES + VALUES + RULES, ids=lambda bad: bad.name)
def test_a_bad_stack_is_refused_with_path_value_and_what_is_allowed(bad: Bad) -> None:
    """PLAT-20, JEEX-02, JEEX-37, PLAT-23, PLAT-37, PLAT-41, X-18, X-19: impossible settings do not get past the preview."""
    with pytest.raises(InvalidStack) as refused:
        parse(config(bad.stack, bad.patch), "test")
    told = [str(problem) for problem in refused.value.problems if problem.path == bad.path]
    assert any(bad.words in line for line in told), "\n".join([str(refused.value), f"wanted: {bad.path}: {bad.words}"])
    assert "Nothing was changed." in str(refused.value)


def test_a_refusal_names_the_value_that_was_found() -> None:
    with pytest.raises(InvalidStack, match=r"keel:hosts\.db1\.address = '10\.99\.0\.11'"):
        parse(config("dev", {"hosts.db1.address": "10.99.0.11"}), "test")


def test_all_errors_are_told_at_once() -> None:
    """Wrong types, unknown keys and broken rules of sections that are well-formed, in one refusal."""
    patch = {
        "redis.maxmemory": "much", "etcd.election_ms": 1, "release.postgres": 17, "ports.typo": 1,
        "products": {"nothing": {}}, "network": REMOVED,
    }  # fmt: skip
    with pytest.raises(InvalidStack) as refused:
        parse(config("dev", patch), "stacks/Pulumi.dev.yaml")
    assert [problem.path for problem in refused.value.problems] == [
        "etcd.election_ms", "network", "ports.typo", "products.nothing", "redis.maxmemory", "release.postgres"
    ]  # fmt: skip
    assert str(refused.value).startswith("stacks/Pulumi.dev.yaml: 6 setting(s) refused\n")


EDGE = {"hosts.edge2": {"address": "10.88.0.22", "groups": ["edge"]}}
TOGETHER = [
    (
        "a number that another one entails",
        "dev",
        {**EDGE, "postgres.work_mem": 16},
        {"postgres.max_connections": "at least 182", "hosts.db1.memory": "at least 3791", "hosts.db2.memory": "at least 3791"},
    ),
    (
        "more of what is too little already",
        "dev",
        {**EDGE, "postgres.work_mem": 16, "hosts.db1.memory": 1024, "haproxy.client_connections": 200},
        {
            "postgres.max_connections": "= 100: at least 182",
            "hosts.db1.memory": "= 1024: at least 3791",
            "hosts.db2.memory": "at least 3791",
            "haproxy.client_connections": r"= 200: less than 174, which max_connections \(182\)",
        },
    ),
    (
        "a replica too few for the preset",
        "production",
        {"patroni.ha": "safe", "hosts.db3": REMOVED, "postgres.replicas": 2},
        {"postgres.replicas": "= 2: 1, one less", "patroni.ha": "fewer than two replicas", "hosts": "odd|three hosts"},
    ),
    (
        "a slip next to a rule of the same section",
        "dev",
        {**EDGE, "postgres.max_conections": 200, "postgres.work_mem": "much", "ports.typo": 1, "ports.redis": 6432},
        {
            "postgres.max_conections": "known setting",
            "postgres.work_mem": "valid integer",
            "postgres.max_connections": "at least 182",
            "ports.typo": "known setting",
            "ports.redis": "no other service has",
        },
    ),
    (
        "what a refused value is needed for is not told",
        "dev",
        {"postgres.max_connections": "many", "postgres.replicas": 2, "hosts.db1.memory": 1024},
        {"postgres.max_connections": "valid integer", "postgres.replicas": "one less",},
    ),
    (
        "a host of which one value is refused",
        "dev",
        {"hosts.db1.address": 5, "hosts.db2.memory": 256, "postgres.replicas": REMOVED, "hosts.ops1.groups": ["monitor"]},
        {"hosts.db1.address": "IPv4", "hosts": "the group 'backup'", "hosts.db2.memory": "= 256: at least 455"},
    ),
    (
        "a host whose groups are refused",
        "production",
        {"hosts.db1.groups": ["postgress"], "postgres.replicas": REMOVED, "patroni.ha": "safe", "etcd.election_ms": 1},
        {"hosts.db1.groups.0": "postgres", "etcd.election_ms": "at least"},
    ),
]  # fmt: skip
"""Name, stack, patch, and every path that is refused with words of what is said of it."""


@pytest.mark.parametrize(
    ("stack", "patch", "told"), [case[1:] for case in TOGETHER], ids=[case[0] for case in TOGETHER]
)
def test_no_reason_waits_until_another_one_is_mended(stack: str, patch: dict[str, Any], told: dict[str, str]) -> None:
    """PLAT-20, X-19: what would be refused next is refused now, and nothing that only follows from what cannot be read."""
    with pytest.raises(InvalidStack) as refused:
        parse(config(stack, patch), "test")
    lines = {problem.path: str(problem) for problem in refused.value.problems}
    assert lines.keys() == told.keys(), refused.value
    for path, words in told.items():
        assert re.search(words, lines[path]), lines[path]


def test_what_a_refusal_asks_for_is_accepted() -> None:
    """PLAT-20: whoever writes down the numbers that it names is not refused again."""
    with pytest.raises(InvalidStack) as refused:
        parse(config("dev", {**EDGE, "postgres.work_mem": 16}), "test")
    asked = {problem.path: problem.nearest for problem in refused.value.problems}
    assert len(asked) == 3
    assert parse(config("dev", {**EDGE, "postgres.work_mem": 16, **asked}), "test").postgres.max_connections == 182


@pytest.mark.parametrize("stack", ["dev", "ci", "staging", "production"])
def test_the_projects_stacks_load(stack: str) -> None:
    """PLAT-47: the four stacks exist and are valid, side by side."""
    settings = parse(config(stack), stack, load.others(stack))
    assert settings.environment.kind.value == stack


def test_pulumis_text_and_a_file_give_the_same() -> None:
    """Pulumi hands each section out as JSON text."""
    written = config("dev")
    assert parse({key: json.dumps(value) for key, value in written.items()}, "a") == parse(written, "b")


def test_other_namespaces_are_left_alone() -> None:
    assert parse({**config("dev"), "docker:host": "unix:///x", "pulumi:tags": {}}, "test") == parse(config("dev"), "t")


def differing(one: Settings, other: Settings) -> set[str]:
    """Paths of settings that differ, hosts and networks left out."""
    left, right = (settings.model_dump(exclude={"hosts", "network"}) for settings in (one, other))
    return {f"{s}.{name}" for s in left for name in left[s] or {} if left[s][name] != right[s].get(name)}


def test_staging_equals_production() -> None:
    """PLAT-47: version and configuration are the same; the kind, machines and sizes differ."""
    staging, production = parse(config("staging"), "s"), parse(config("production"), "p")
    assert differing(staging, production) == {
        "environment.kind", "postgres.shared_buffers", "postgres.effective_cache_size"
    }  # fmt: skip
    groups = [{name: host.groups for name, host in settings.hosts.items()} for settings in (staging, production)]
    assert groups[0] == groups[1]


def test_the_order_of_products_does_not_matter() -> None:
    """PLAT-48: Pulumi hands mappings on in any order; files that list products are the same each time."""
    written = config("dev")
    backwards = {**written, "keel:products": dict(reversed(written["keel:products"].items()))}
    manifest = program.load("dev", {**backwards, **ROOTS}).manifest
    handed = manifest.slice({"products"})
    handed["products"] = dict(reversed(handed["products"].items()))
    ordered = sorted(written["keel:products"])
    assert list(manifest.products) == list(Manifest.from_slice(handed).products) == ordered


def test_the_order_of_hosts_does_not_matter() -> None:
    """PLAT-48: Pulumi hands them out by name; who reads the file finds the same hosts on the same ports."""
    written = config("dev")
    backwards = {**written, "keel:hosts": dict(reversed(written["keel:hosts"].items()))}
    assert program.load("dev", {**backwards, **ROOTS}).manifest == program.load("dev", {**written, **ROOTS}).manifest


@pytest.mark.parametrize(
    ("stack", "given", "resolved"),
    [
        ("dev", None, "remove"),
        ("ci", None, "remove"),
        ("staging", None, "report"),
        ("production", None, "report"),
        ("dev", "report", "report"),
        ("production", "remove", "remove"),
    ],
)
def test_what_nobody_declared_is_removed_only_where_data_is_not_guarded(
    stack: str, given: str | None, resolved: str
) -> None:
    """X-46: unless the stack file says otherwise; every reader of the manifest finds the answer."""
    patch = {"databases": {"undeclared": given}} if given else {}
    manifest = program.load(stack, {**config(stack, patch), **ROOTS}).manifest
    assert manifest.slice({"databases"})["databases"]["undeclared"] == resolved


def containers(stack: str, patch: dict[str, Any]) -> IPv4Network | None:
    """The range of containers of a stack."""
    return program.load(stack, {**config(stack, patch), **ROOTS}).manifest.containers


@pytest.mark.parametrize(
    ("stack", "patch", "found"),
    [
        ("dev", {}, "10.88.0.128/25"),
        ("ci", {}, "10.89.0.128/25"),
        ("ci", {"network.containers": "10.89.0.64/26"}, "10.89.0.64/26"),
        ("dev", {"network.containers": "off"}, None),
        ("dev", {"hosts.ops1.address": "10.88.0.200"}, None),
        ("staging", {}, None),
        ("production", {}, None),
    ],
)
def test_containers_have_the_upper_half_where_nothing_is_guarded(
    stack: str, patch: dict[str, Any], found: str | None
) -> None:
    """PLAT-41, PLAT-47: and none of a host's addresses."""
    assert containers(stack, patch) == (IPv4Network(found) if found else None)


BOUNDARIES = [
    ("staging", {"network.clients": ["0.0.0.0/1"]}),
    ("dev", {"network.clients": ["0.0.0.0/0"]}),
    ("dev", {"network.cidr": "10.0.0.0/8"}),
    ("dev", {"network.cidr": "10.88.0.8/29", **{f"hosts.{name}.address": f"10.88.0.{10 + i}" for i, name in enumerate(("db1", "db2", "edge1", "ops1"))}}),
    ("dev", {"postgres.max_connections": 100}),
    ("staging", {"postgres.max_connections": 296}),
    ("dev", {"pgbouncer.min_pool_size": 20}),
    ("dev", {"haproxy.maxconn": 95}),
    ("dev", {"hosts.db1.memory": 455}),
    ("dev", {"hosts.db1.memory": 1536, **DOCUMENTED}),
    ("dev", {"hosts.db1.memory": "auto", "hosts.ops1.cpus": "auto"}),
    ("dev", {"hosts.db1.memory": 1536, **DOCUMENTED, "hosts.db1.groups": ["postgres", "etcd", "monitor"], "hosts.ops1.groups": ["backup"]}),
    ("dev", {"redis.maxmemory": 736}),
    ("dev", {"postgres.effective_cache_size": 2048}),
    ("dev", {"postgres.effective_cache_size": 256}),
    ("dev", {"patroni.loop_wait": 1}),
    ("dev", {"patroni.retry_timeout": 3}),
    ("dev", {"etcd.election_ms": 500}),
    ("dev", {"network.published.ssh": 65515}),
    ("dev", {"postgres.apply_delay": {"db2": 60}, "postgres.synchronous": False}),
    ("production", {"postgres.replicas": 1, "hosts.db3.groups": ["etcd"]}),
    ("dev", {"release": {"debian": "trixie", "source": "debian", "postgres": 17}}),
]  # fmt: skip


@pytest.mark.parametrize(("stack", "patch"), BOUNDARIES, ids=[f"{stack} {patch}"[:60] for stack, patch in BOUNDARIES])
def test_the_last_allowed_value_is_taken(stack: str, patch: dict[str, Any]) -> None:
    """The counterpart of what is refused: a rule that asked for one more would refuse these."""
    assert parse(config(stack, patch), "test")


def test_defaults_that_documents_promise() -> None:
    """PLAT-31, PLAT-33, ADA-24, PLAT-20, JEEX-17: literal, because the reference is generated from the model itself."""
    settings = parse(config("ci"), "test")
    second = {"endpoint": "s3.example", "bucket": "backups"}
    assert settings.repository.retention_days == 30
    assert SecondRepository.model_validate(second).retention_days == 30
    assert (Postgres().direct_reserve, Postgres().superuser_reserved_connections) == (15, 3)
    assert (ProductSettings().max_client_conn, Pgbouncer().default_pool_size, Pgbouncer().max_user_connections) == (
        100,
        20,
        50,
    )
    assert (Patroni().ttl, Patroni().loop_wait, Patroni().retry_timeout) == (20, 2, 9)


@pytest.mark.parametrize(
    ("field", "low", "high"), [(0, 0, 59), (1, 0, 23), (2, 1, 31), (3, 1, 12), (4, 0, 7)],
)  # fmt: skip
def test_each_field_of_a_time_has_its_bounds(field: int, low: int, high: int) -> None:
    """PLAT-45: cron drops a file with one number out of range."""

    def time(number: int) -> str:
        return " ".join(str(number) if place == field else "*" for place in range(5))

    for number in (low, high):
        assert parse(config("dev", {"schedule.full": time(number)}), "test")
    for number in {low - 1, high + 1} - {-1}:
        with pytest.raises(InvalidStack, match="five fields of numbers"):
            parse(config("dev", {"schedule.full": time(number)}), "test")


@pytest.mark.parametrize("time", ["0 2 * * *", "*/15 0-6,22 1 1,7 0", "0 8,14,20 * * 1-5", "off"])
def test_times_that_cron_takes_are_taken(time: str) -> None:
    """PLAT-45."""
    assert parse(config("dev", {"schedule.incremental": time}), "test").schedule.incremental == time


@pytest.mark.parametrize(
    ("stack", "given", "resolved"),
    [("dev", None, False), ("staging", None, True), ("production", None, True), ("dev", True, True)],
)
def test_a_backup_comes_before_a_migration_where_data_is_guarded(
    stack: str, given: bool | None, resolved: bool
) -> None:
    """JEEX-24."""
    patch = {} if given is None else {"databases": {"backup_before_migration": given}}
    manifest = program.load(stack, {**config(stack, patch), **ROOTS}).manifest
    assert manifest.databases.backup_before_migration is resolved


def test_a_default_is_as_good_as_what_is_given() -> None:
    """Every section refuses a default of its own that it would refuse in a stack file."""

    class Section(Model):
        minutes: int = Field(default=-1, ge=0)

    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Section()


@pytest.mark.parametrize(("text", "is_json"), [("dev", False), ('{"ttl": 20}', True), ("20", True), ("", False)])
def test_pulumi_hands_out_a_section_as_json_or_as_a_plain_word(text: str, is_json: bool) -> None:
    assert load._is_json(text) is is_json


def test_dev_always_exercises_replication_and_ci_does_not() -> None:
    """X-22: dev has one replica, ci none, production at least two."""
    replicas = {stack: parse(config(stack), stack).postgres.replicas for stack in ("dev", "ci", "production")}
    assert replicas == {"dev": 1, "ci": 0, "production": 2}


def test_a_further_database_host_is_a_replica() -> None:
    """ADA-28: its line alone is enough, beside a single instance too; a stack file that says how many is held to it."""
    joins = {"hosts.db2": {"address": "10.89.0.12", "groups": ["postgres"]}}
    assert parse(config("ci", joins), "ci").postgres.replicas == 1
    with pytest.raises(InvalidStack, match=r"keel:postgres\.replicas = 2: 1, one less than the postgres hosts"):
        parse(config("ci", {**joins, "postgres": {"replicas": 2}}), "ci")


def test_a_host_keeps_its_port_whoever_joins() -> None:
    """PLAT-37: it follows from the address, and the services of the edges from the lowest of theirs."""
    joins = {
        "hosts.aaa": {"address": "10.88.0.22", "groups": ["edge"]},
        "hosts.dba": {"address": "10.88.0.13", "groups": ["postgres"]},
        "postgres.replicas": 2,
    }
    few = {"products": {"jeex_idea": {"max_db_connections": 5, "readonly_max_db_connections": 5}}}
    before, after = (
        {host.name: manifest.published(host) for host in manifest.hosts}
        for manifest in (program.load("dev", {**config("dev", few | patch), **ROOTS}).manifest for patch in ({}, joins))
    )
    assert before.items() <= after.items()
    assert (after["dba"], after["aaa"]) == ({22: 2203}, {22: 2212})


def test_the_manifest_holds_no_secret() -> None:
    """Nothing that derives from the roots but public keys, which are public."""
    loaded = program.load("dev", config("dev"))
    text = loaded.manifest.model_dump_json()
    for name in ("postgres", "jeex_user", "controller", "redis/jeex_idea"):
        assert loaded.roots.password(name) not in text
    assert loaded.roots.access not in text
    assert Manifest.from_slice(json.loads(text)) == loaded.manifest


@pytest.mark.parametrize("stack", ["dev", "ci", "staging", "production"])
def test_a_step_reads_its_slice_without_what_is_none(stack: str) -> None:
    """Pulumi drops None on the way to a step, so nothing that may be None is required there."""

    def dropped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: dropped(inner) for key, inner in value.items() if inner is not None}
        return [dropped(inner) for inner in value] if isinstance(value, list) else value

    manifest = program.load(stack, config(stack) | ROOTS).manifest
    assert Manifest.from_slice(dropped(manifest.model_dump(mode="json"))) == manifest


@pytest.mark.parametrize(
    ("given", "timing", "strict"),
    [
        ({}, (20, 2, 9), False),
        ({"patroni.ha": "fast"}, (20, 2, 9), False),
        ({"patroni.ha": "balanced"}, (30, 5, 10), False),
        ({"patroni.ha": "safe"}, (30, 5, 10), True),
        ({"patroni.ha": "balanced", "patroni.ttl": 40}, (40, 5, 10), False),
        ({"patroni.loop_wait": 1}, (20, 1, 9), False),
    ],
)
def test_a_preset_is_where_the_timing_comes_from(
    given: dict[str, Any], timing: tuple[int, int, int], strict: bool
) -> None:
    """JEEX-31: what is set itself stays; `safe` writes nothing that only the primary has."""
    found = program.load("production", {**config("production", given), **ROOTS}).manifest
    assert (found.patroni.ttl, found.patroni.loop_wait, found.patroni.retry_timeout) == timing
    assert dynamic_configuration(found)["synchronous_mode_strict"] is strict
    assert Manifest.from_slice(found.slice(["patroni"])).patroni == found.patroni
