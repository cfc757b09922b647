"""The requirements' values, in the files that the services read."""

from __future__ import annotations

import json
import shlex
from configparser import ConfigParser
from typing import Any

import pytest
import yaml

from environment.kind import Kind
from environment.settings import ProductSettings, Release, Repository
from environment.types import ParameterValue, Reset
from roles.postgres.parameters import parameters
from tests.roles.targets import files, manifest_of

PARAMETERS = {
    "ADA-01": {
        "shared_buffers": "256MB", "effective_cache_size": "1024MB", "work_mem": "8MB", "maintenance_work_mem": "128MB",
        "max_connections": "100",
    },
    "JEEX-02": {"io_method": "worker"},
    "PLAT-04, PLAT-37": {"wal_level": "replica", "hot_standby": "on"},
    "PLAT-04, ADA-24, ADA-25": {
        "archive_mode": "on", "archive_command": "pgbackrest --stanza=dev archive-push %p", "archive_timeout": "60s",
    },
    "PLAT-38": {"max_slot_wal_keep_size": "2048MB"},
    "BAC-05": {
        "log_destination": "stderr", "logging_collector": "on", "log_directory": "/var/log/postgresql",
        "log_filename": "postgresql-%Y-%m-%d_%H%M%S.log", "log_file_mode": "0644",
    },
    "BAC-06": {
        "log_statement": "mod", "log_min_duration_statement": "1000", "log_checkpoints": "on", "log_connections": "on",
        "log_disconnections": "on", "log_lock_waits": "on", "log_replication_commands": "on",
    },
    "BAC-07": {"log_line_prefix": "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h "},
    "BAC-08": {
        "shared_preload_libraries": "pg_stat_statements,auth_delay", "pg_stat_statements.track": "all",
        "pg_stat_statements.track_utility": "on", "pg_stat_statements.track_planning": "on",
    },
    "PLAT-11, PLAT-39": {"password_encryption": "scram-sha-256", "ssl": "on"},
}  # fmt: skip


def patroni(stack: str = "dev", host: str | None = None, **sections: Any) -> dict[str, Any]:
    """patroni.yml as Patroni reads it."""
    return dict(yaml.safe_load(files("postgres", stack, host, **sections)["/etc/patroni/config.yml"].content))


def new_cluster(stack: str = "dev") -> dict[str, Any]:
    """Patroni's configuration in etcd as a new cluster begins with it."""
    return dict(json.loads(files("postgres", stack)["/etc/patroni/new-cluster.json"].content))


def pgbouncer(name: str, stack: str = "dev", **sections: Any) -> dict[str, dict[str, str]]:
    """A file of PgBouncer as it reads it, without its %include line."""
    parser = ConfigParser(delimiters="=", comment_prefixes=";", interpolation=None)
    lines = files("pgbouncer", stack, **sections)[f"/etc/pgbouncer/{name}"].content.splitlines()
    parser.read_string("\n".join(line for line in lines if not line.startswith("%include")))
    return {section: dict(parser[section]) for section in parser.sections()}


@pytest.mark.parametrize("requirement", PARAMETERS)
def test_postgresql_gets_the_parameters(requirement: str) -> None:
    """ADA-01, ADA-24, ADA-25, JEEX-02, JEEX-04, JEEX-05, PLAT-04, PLAT-37, PLAT-38, BAC-05, BAC-06, BAC-07, BAC-08, PLAT-11, PLAT-39."""
    found = new_cluster()["postgresql"]["parameters"]
    assert {name: found.get(name) for name in PARAMETERS[requirement]} == PARAMETERS[requirement]


def test_a_log_prefix_keeps_its_trailing_space() -> None:
    """BAC-07."""
    assert new_cluster()["postgresql"]["parameters"]["log_line_prefix"].endswith("%h ")


def test_older_servers_get_no_parameter_they_do_not_know() -> None:
    """JEEX-02 is for 18; PLAT-01 admits 15 to 17, which would refuse to start with io_method."""
    for major, known in ((17, False), (18, True)):
        manifest = manifest_of("dev").model_copy(update={"release": Release.model_construct(postgres=major)})
        assert ("io_method" in parameters(manifest)) is known


def test_new_clusters_have_checksums_and_an_explicit_locale() -> None:
    """PLAT-02: encoding UTF8, collate and ctype from the stack, not from an image."""
    assert json.loads(files("postgres")["/etc/keel/member.json"].content)["locale"] == "C.UTF-8"


@pytest.mark.parametrize(("stack", "synchronous"), [("dev", True), ("ci", False), ("staging", True)])
def test_replication_is_synchronous_where_there_is_a_replica(stack: str, synchronous: bool) -> None:
    """X-22: ci has no replica and would otherwise wait for nobody."""
    assert new_cluster(stack)["synchronous_mode"] is synchronous


def test_the_lease_is_the_settings() -> None:
    dcs = new_cluster()
    assert (dcs["ttl"], dcs["loop_wait"], dcs["retry_timeout"]) == (20, 2, 9)


def test_patroni_knows_every_store_and_speaks_tls() -> None:
    found = patroni()
    assert found["etcd3"]["hosts"] == ["10.88.0.11:2379", "10.88.0.12:2379", "10.88.0.21:2379"]
    assert found["etcd3"]["protocol"] == "https"
    assert found["restapi"]["certfile"] == "/etc/keel/tls/postgres/cert.pem"
    assert found["restapi"]["verify_client"] in ("optional", "required")


@pytest.mark.parametrize(("stack", "mode"), [("dev", "off"), ("staging", "required")])
def test_the_watchdog_is_for_machines(stack: str, mode: str) -> None:
    """Design: in a container the device is the machine's and would reset it."""
    assert files("postgres", stack)["/etc/patroni/config.yml"].content.rstrip().endswith(f"mode: {mode}")


def hba(stack: str) -> list[list[str]]:
    """pg_hba's lines as fields."""
    return [line.split() for line in patroni(stack)["postgresql"]["pg_hba"]]


@pytest.mark.parametrize("stack", ["ci", "staging"])
def test_outside_dev_a_server_admits_remote_clients_by_tls_and_scram_only(stack: str) -> None:
    """PLAT-39, PLAT-40, ADA-06."""
    remote = [fields for fields in hba(stack) if fields[0] != "local"]
    assert remote
    assert {fields[0] for fields in remote if fields[-1] != "reject"} == {"hostssl"}
    assert {fields[-1] for fields in remote} == {"scram-sha-256", "clientcert=verify-full", "reject"}


@pytest.mark.parametrize("stack", ["dev", "ci", "staging"])
def test_only_hosts_of_the_environment_reach_the_server(stack: str) -> None:
    """PLAT-41, JEEX-33: members for replication, edges for clients; nobody else, and no superuser."""
    manifest = manifest_of(stack)
    own = {f"{host.address}/32" for host in manifest.hosts}
    remote = [fields for fields in hba(stack) if fields[0] != "local"]
    *admitting, last = remote
    assert {fields[3] for fields in admitting} <= own
    assert not [fields for fields in admitting if {"all", "postgres"} & set(fields[2].split(","))]
    assert last == ["host", "all,replication", "all", "all", "reject"]


def test_pgbouncer_pools_as_specified() -> None:
    """JEEX-16, JEEX-17, JEEX-18, JEEX-19, JEEX-20, PLAT-23."""
    found = pgbouncer("pgbouncer.ini")["pgbouncer"]
    wanted = {
        "pool_mode": "transaction",
        "default_pool_size": "20", "min_pool_size": "5", "reserve_pool_size": "5", "reserve_pool_timeout": "5",
        "max_user_connections": "50", "max_prepared_statements": "200",
        "ignore_startup_parameters": "extra_float_digits,jit",
        "server_connect_timeout": "15", "query_wait_timeout": "30", "server_idle_timeout": "300",
        "server_check_query": "select 1", "server_check_delay": "30", "server_login_retry": "0.1",
    }  # fmt: skip
    assert {name: found.get(name) for name in wanted} == wanted
    listen = files("pgbouncer")["/etc/pgbouncer/listen.ini"].content.splitlines()[1:]
    assert listen == ["listen_addr = 10.88.0.21", "listen_port = 6432"]


def test_pgbouncer_lets_by_what_the_clients_of_any_product_send() -> None:
    """JEEX-18: it has one list for all databases; what every environment ignores is in it once."""
    sent: dict[str, dict[str, ParameterValue]] = {
        "jeex_idea": {"statement_timeout": "5s", "jit": False},
        "ruleiq": {"lock_timeout": "1s"},
    }
    products = {
        name: entry.model_copy(update={"limits": entry.limits.model_copy(update={"startup": sent.get(name, {})})})
        for name, entry in manifest_of("dev").products.items()
    }
    found = pgbouncer("pgbouncer.ini", products=products)["pgbouncer"]
    assert found["ignore_startup_parameters"] == "extra_float_digits,jit,lock_timeout,statement_timeout"


@pytest.mark.parametrize(
    ("reset", "query", "always"),
    [
        (None, "RESET app.current_user_id; RESET row_security", "1"),
        ("identity", "RESET app.current_user_id; RESET row_security", "1"),
        ("state", "DISCARD ALL", "1"),
        ("off", "DISCARD ALL", "0"),
    ],
)
def test_what_ends_before_another_client_comes(reset: str | None, query: str, always: str) -> None:
    """JEEX-18, W6: in transaction mode too (X-09), the identity by default."""
    settings = manifest_of("dev").pgbouncer
    chosen = settings.model_copy(update={"reset": Reset(reset)}) if reset else settings
    found = pgbouncer("pgbouncer.ini", pgbouncer=chosen)["pgbouncer"]
    assert (found["server_reset_query"], found["server_reset_query_always"]) == (query, always)


def test_each_product_has_a_writing_and_a_reading_pool_with_its_limits() -> None:
    """BAC-45, JEEX-04, JEEX-17, X-08: limits per database; `<db>_ro` goes to the replicas."""
    found = pgbouncer("databases.ini")["databases"]
    pools = (shlex.split(found[name]) for name in ("jeex_idea", "jeex_idea_ro"))
    writing, reading = (dict(pair.split("=", 1) for pair in pool) for pool in pools)
    assert reading["connect_query"] == "set default_transaction_read_only = on" and "connect_query" not in writing
    assert 2 * int(reading["server_lifetime"]) < 60  # seconds until all are on a replica that came back
    assert (writing["host"], writing["port"], reading["host"], reading["port"]) == (
        "primary.dev", "5000", "replica.dev", "5001"
    )  # fmt: skip
    assert (writing["max_db_connections"], writing["max_db_client_connections"]) == ("20", "100")
    assert (reading["max_db_connections"], reading["pool_size"]) == ("4", "4")
    busy = dict(pair.split("=") for pair in found["bacopilot"].split())
    assert (busy["max_db_client_connections"], busy["pool_size"]) == ("1000", "10")


def test_a_pool_is_not_larger_than_what_its_database_may_have() -> None:
    """PLAT-20, X-08: where the share of a product is smaller than the usual pool, the pool is that share."""
    entry = manifest_of("dev").products["jeex_idea"]
    small = entry.model_copy(update={"limits": ProductSettings(readonly_max_db_connections=3)})
    found = pgbouncer("databases.ini", products={"jeex_idea": small})["databases"]
    reading = dict(pair.split("=", 1) for pair in shlex.split(found["jeex_idea_ro"]))
    assert (reading["pool_size"], reading["min_pool_size"], reading["max_db_connections"]) == ("3", "3", "3")


def test_pgbouncer_verifies_the_server_and_looks_passwords_up() -> None:
    """PLAT-22, PLAT-39."""
    found = pgbouncer("pgbouncer.ini")["pgbouncer"]
    assert found["server_tls_sslmode"] == "verify-full"
    assert found["auth_type"] == "hba"
    assert "keel.user_lookup($1)" in found["auth_query"]


def test_readers_passwords_are_looked_up_where_they_read() -> None:
    """PLAT-22, JEEX-31: so that they get in without a primary."""
    databases = pgbouncer("databases.ini")["databases"]
    found = {name: dict(pair.split("=", 1) for pair in shlex.split(text)) for name, text in databases.items()}
    assert pgbouncer("pgbouncer.ini")["pgbouncer"]["auth_dbname"] == "postgres"
    assert {name: of["auth_dbname"] for name, of in found.items() if "auth_dbname" in of} == {
        f"{name}_ro": "postgres_ro" for name in manifest_of("dev").products
    }
    assert (found["postgres"]["port"], found["postgres_ro"]["port"]) == ("5000", "5001")
    assert found["postgres_ro"]["host"] == "replica.dev" and found["postgres_ro"]["dbname"] == "postgres"


@pytest.mark.parametrize(
    ("stack", "mode", "clear"),
    [("dev", "allow", {"bacopilot", "componentforge", "jeex_idea", "ruleiq"}), ("ci", "require", set()), ("staging", "require", set())],
)  # fmt: skip
def test_poolers_require_tls(stack: str, mode: str, clear: set[str]) -> None:
    """PLAT-22, PLAT-39, PLAT-40, X-51: clients in clear only in dev, and of no product that asks for TLS always."""
    assert pgbouncer("pgbouncer.ini", stack)["pgbouncer"]["client_tls_sslmode"] == mode
    lines = files("pgbouncer", stack)["/etc/pgbouncer/pg_hba.conf"].content.splitlines()
    clients = [line.split() for line in lines if line.startswith("host")]
    assert {fields[1].partition(",")[0] for fields in clients if fields[0] == "host"} == clear
    assert {fields[-1] for fields in clients} == {"scram-sha-256"}
    assert manifest_of(stack).identity.kind is Kind(stack)


def test_the_look_ups_own_database_is_closed_to_clients() -> None:
    lines = files("pgbouncer")["/etc/pgbouncer/pg_hba.conf"].content.splitlines()
    assert not [line for line in lines if line.startswith("host") and "postgres" in line.split()[1].split(",")]


def redis() -> dict[str, str]:
    """redis.conf: directive → value."""
    lines = files("redis")["/etc/redis/redis.conf"].content.splitlines()
    return dict(line.split(" ", 1) for line in lines if line)


def test_redis_is_as_specified() -> None:
    """BAC-25: append-only file, 256 MB, allkeys-lru."""
    found = redis()
    assert (found["appendonly"], found["maxmemory"], found["maxmemory-policy"]) == ("yes", "256mb", "allkeys-lru")


def test_redis_needs_tls_and_an_account() -> None:
    """PLAT-25: no plain port, the default account is off, the application's cannot administer."""
    found = redis()
    assert (found["port"], found["tls-port"]) == ("0", "6379")
    default, *accounts = files("redis")["/etc/redis/users.acl"].content.splitlines()
    assert default.startswith("user default off")
    assert accounts and not [account for account in accounts if "nopass" in account or "+@all" in account]


def test_haproxy_asks_patroni_over_tls_who_leads() -> None:
    """CF-01, JEEX-20, X-23: reconnection after a primary change; the certificate's name is verified."""
    text = files("haproxy")["/etc/haproxy/haproxy.cfg"].content
    for name, address in (("db1", "10.88.0.11"), ("db2", "10.88.0.12")):
        assert text.count(f"server {name} {address}:5432 port 8008 verifyhost {name}") == 3
    assert "check-ssl verify required" in text
    assert "GET uri /primary" in text
    assert "GET uri /replica" in text


def test_etcd_members_know_each_other_and_demand_certificates() -> None:
    text = files("etcd", host="db2")["/etc/default/etcd"].content
    found = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    assert (found["ETCD_CLIENT_CERT_AUTH"], found["ETCD_PEER_CLIENT_CERT_AUTH"]) == ("true", "true")
    assert found["ETCD_NAME"] == "db2"


def test_ssh_is_by_key_only() -> None:
    text = files("base")["/etc/ssh/sshd_config.d/00-keel.conf"].content
    assert "PasswordAuthentication no" in text
    assert "PermitRootLogin prohibit-password" in text


def test_hosts_know_each_other_and_an_edge_its_proxy() -> None:
    """PgBouncer verifies `primary.<environment>` through the proxy beside it."""
    own = {host: files("base", host=host)["/etc/keel/hosts"].content.splitlines() for host in ("db1", "edge1")}
    assert "10.88.0.12 db2 db2.dev # etcd postgres" in own["db1"]
    assert "127.0.0.1 primary.dev replica.dev" in own["edge1"]
    assert not any("primary.dev" in line for line in own["db1"])


def test_a_new_clusters_configuration_is_what_the_role_keeps_current() -> None:
    """One source: otherwise the first start and every later converge would disagree."""
    assert new_cluster()["postgresql"]["parameters"] == parameters(manifest_of("dev"))


def test_wal_is_dropped_only_where_a_stack_says_so() -> None:
    """By default nothing is; where it is, at the limit of which the alerts tell, and on database hosts alone."""

    def lines(host: str, full: str) -> list[str]:
        settings = Repository(archive_limit=512, archive_full=full)
        content = files("pgbackrest", host=host, repository=settings)["/etc/pgbackrest/pgbackrest.conf"].content
        return [line for line in content.splitlines() if "queue-max" in line]

    assert lines("db1", "keep") == [] and lines("ops1", "drop") == []
    assert lines("db1", "drop") == [f"archive-push-queue-max={512 * 2**20}"]
    settings = files("jobs", repository=Repository(archive_limit=512))["/etc/keel/backup.json"].content
    assert json.loads(settings)["archive_limit"] == 512
