"""PgBouncer on each edge: its effective settings, its pools, who gets in and how."""

from __future__ import annotations

import csv
import itertools
import shlex
from functools import cache
from typing import Any

import psycopg
import pytest

from environment import access, server_parameters
from environment.kind import Kind
from environment.manifest import HostEntry, Manifest, ProductEntry
from environment.types import Group, Reset
from tests.verify import expect
from tests.verify.look import Look
from tests.verify.pooler import Pooler

REFUSED_AT_START = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
USERS = "/etc/pgbouncer/userlist.txt"


@cache
def console(look: Look, edge: HostEntry, command: str) -> list[dict[str, str]]:
    """Rows of a command of PgBouncer's console, reached as its own user over its socket; asked once per run."""
    port = look.session.manifest.ports.pgbouncer
    psql = f"psql -X --csv -h /run/pgbouncer -p {port} -U postgres pgbouncer -c {shlex.quote(command)}"
    return list(csv.DictReader(look.shell(edge, f"runuser -u postgres -- {psql}").splitlines()))


@pytest.fixture
def config(look: Look, edge: HostEntry) -> dict[str, str]:
    """SHOW CONFIG of one edge."""
    return {row["key"]: row["value"] for row in console(look, edge, "show config")}


def test_transaction_pooling(edge: HostEntry, config: dict[str, str], manifest: Manifest) -> None:
    """JEEX-16: PgBouncer listens on its port and pools transactions."""
    own = {"listen_addr": str(edge.address), "listen_port": str(manifest.ports.pgbouncer)}
    expect.same(config, {**own, "pool_mode": "transaction"}, edge.name)


def test_pool_sizes(edge: HostEntry, config: dict[str, str], look: Look, manifest: Manifest) -> None:
    """JEEX-17: pools and limits are the environment's; client and server limits hold per database (X-08)."""
    names = ("default_pool_size", "min_pool_size", "reserve_pool_size", "reserve_pool_timeout", "max_user_connections")
    expect.same(config, {name: str(getattr(manifest.pgbouncer, name)) for name in names}, edge.name)
    databases = {row["name"]: row for row in console(look, edge, "show databases")}
    for name, entry in manifest.products.items():
        limits = entry.limits
        shares = {name: limits.max_db_connections, f"{name}_ro": limits.readonly_max_db_connections}
        for offered, most in shares.items():
            wanted = {
                "database": name,
                "max_client_connections": str(limits.max_client_conn),
                "max_connections": str(most),
                "pool_size": str(min(manifest.pgbouncer.default_pool_size, most)),
                "disabled": "0",
            }
            expect.same(databases[offered], wanted, f"{edge.name}: {offered}")
    clients = 2 * sum(entry.limits.max_client_conn for entry in manifest.products.values())
    assert int(config["max_client_conn"]) >= clients, f"{edge.name}: max_client_conn is below the sum of {clients}"


def test_no_other_database(edge: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-05: an edge offers each product's database, read-write and read-only, and no other but its own look-up's."""
    offered = [row["name"] for row in console(look, edge, "show databases")]
    wanted = [offer for name in manifest.products for offer in (name, f"{name}_ro")]
    expect.exactly(offered, [*wanted, "pgbouncer", "postgres", "postgres_ro"], f"{edge.name}: database")


def test_reset_and_startup(edge: HostEntry, config: dict[str, str], manifest: Manifest) -> None:
    """JEEX-18: what ends with a transaction is the setting's (X-09, W6); ignored are extra_float_digits, jit and what the clients of
    some product send."""
    reset = manifest.pgbouncer.reset
    wanted = {
        "server_reset_query": "RESET app.current_user_id; RESET row_security"
        if reset is Reset.IDENTITY
        else "DISCARD ALL",
        "server_reset_query_always": "0" if reset is Reset.OFF else "1",
    }
    sent = {name for entry in manifest.products.values() for name in entry.limits.startup}
    ignored = ",".join(["extra_float_digits", "jit", *sorted(sent - {"extra_float_digits", "jit"})])
    expect.same(config, {**wanted, "ignore_startup_parameters": ignored}, edge.name)


def test_what_a_client_sets_as_it_connects(pooler: Pooler, edge: HostEntry, manifest: Manifest) -> None:
    """JEEX-18, X-05: its own zone and form of dates hold, what changes no answer is ignored, and a limit that would not hold
    is refused by its name."""
    product = next(iter(manifest.products.values())).product
    kept = {"TimeZone": "Asia/Kolkata", "DateStyle": "German, DMY", "client_encoding": "LATIN1"}
    given = (
        "-c timezone=Asia/Kolkata -c datestyle=German,DMY -c client_encoding=LATIN1 -c jit=off -c extra_float_digits=3"
    )
    with pooler.connect(product.app_role, product.name, edge, options=given) as client:
        found = {name: client.execute("select current_setting(%s)", [name]).fetchone() for name in kept}
    expect.same({name: row[0] for name, row in found.items() if row}, kept, edge.name)
    sent = {name for entry in manifest.products.values() for name in entry.limits.startup}
    for setting in [name for name in REFUSED_AT_START if name not in sent]:
        with (
            pytest.raises(psycopg.OperationalError, match=f"unsupported startup parameter.*{setting}"),
            pooler.connect(product.app_role, product.name, edge, options=f"-c {setting}=1"),
        ):
            pytest.fail(f"{edge.name}: {setting} is taken and has no effect", pytrace=False)


def test_what_clients_send_holds(pooler: Pooler, edge: HostEntry, product: ProductEntry, manifest: Manifest) -> None:
    """JEEX-18: what the stack file says that a product's clients send lets them in, and is true of each of their logins, in both
    pools, also where a client sends nothing."""
    wanted, known = product.limits.startup, server_parameters.known(manifest.release.postgres)
    texts = {name: server_parameters.text(value).replace(" ", "\\ ") for name, value in wanted.items()}
    given = " ".join(f"-c {name}={text}" for name, text in texts.items())
    query = "select name, setting from pg_settings where name = any(%s)"
    for role in product.product.pooled_roles if wanted else ():
        for database, options in itertools.product((product.product.name, f"{product.product.name}_ro"), (given, "")):
            with pooler.connect(role, database, edge, options=options) as client:
                found = dict(client.execute(query, [list(wanted)]).fetchall())
            expect.nothing(
                f"{edge.name}: {role} begins in {database} with {name} {found[name]}, not {value}"
                for name, value in wanted.items()
                if not known[name].same(found[name], value)
            )


def test_timeouts(edge: HostEntry, config: dict[str, str], manifest: Manifest) -> None:
    """JEEX-19: connection and idle timeouts are explicit."""
    names = ("server_connect_timeout", "query_wait_timeout", "server_idle_timeout", "server_login_retry")
    expect.same(config, {name: str(getattr(manifest.pgbouncer, name)) for name in names}, edge.name)


def test_health_checks(edge: HostEntry, config: dict[str, str], look: Look) -> None:
    """JEEX-20: servers are checked before use, dead connections are noticed, and statistics can be read."""
    expect.same(config, {"server_check_query": "select 1", "server_check_delay": "30", "tcp_keepalive": "1"}, edge.name)
    assert console(look, edge, "show stats"), f"{edge.name}: SHOW STATS is empty"
    assert console(look, edge, "show pools"), f"{edge.name}: SHOW POOLS is empty"


def test_prepared_statements_are_tracked(edge: HostEntry, config: dict[str, str], manifest: Manifest) -> None:
    """PLAT-23: PgBouncer keeps track of prepared statements (X-11)."""
    expect.same(config, {"max_prepared_statements": str(manifest.pgbouncer.max_prepared_statements)}, edge.name)


def test_budget(look: Look, manifest: Manifest, superuser: psycopg.Connection[Any]) -> None:
    """PLAT-20: the servers' connections of all edges and the direct reserve fit into what the primary takes."""
    pools = {
        f"{edge.name}: {row['name']}": int(row["max_connections"])
        for edge in manifest.carrying(Group.EDGE)
        for row in console(look, edge, "show databases")
        if row["name"] != "pgbouncer"
    }
    query = "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    row = superuser.execute(query).fetchone()
    assert row
    expect.nothing(f"{name} is unlimited" for name, limit in pools.items() if limit == 0)
    total = sum(pools.values()) + max(10, manifest.postgres.direct_reserve)
    assert total <= row[0], f"{total} connections are promised, the primary takes {row[0]}: {pools}"


def remote_rules(look: Look, edge: HostEntry, config: dict[str, str]) -> list[str]:
    """Who comes over the network, line by line."""
    rules = look.shell(edge, f"grep -v '^#' {shlex.quote(config['auth_hba_file'])}").splitlines()
    return [rule for rule in rules if rule.strip() and not rule.startswith("local")]


def test_clients_come_from_listed_networks(
    edge: HostEntry, config: dict[str, str], look: Look, manifest: Manifest
) -> None:
    """PLAT-41, JEEX-33, W4: the pooler admits the logins of products from the clients' networks of the stack file and, through
    SSH, from its own host, each to its product's databases, and no others."""
    wanted = [line.text for line in access.lines(manifest, edge, "pgbouncer")]
    expect.exactly(remote_rules(look, edge, config), wanted, f"{edge.name}: access rule")


def test_passwords_are_looked_up(edge: HostEntry, config: dict[str, str], look: Look) -> None:
    """PLAT-22: passwords are SCRAM verifiers looked up in the server; no one else can read the one stored login."""
    expect.same(config, {"auth_type": "hba", "auth_user": "keel_pgbouncer", "auth_file": USERS}, edge.name)
    assert "keel.user_lookup" in config["auth_query"], f"{edge.name}: auth_query is {config['auth_query']}"
    facts = look.paths(edge, (USERS,))[USERS]
    assert int(facts.mode, 8) & 0o137 == 0, f"{edge.name}: {USERS} has mode {facts.mode}, not 640 or stricter"
    methods = {rule.split()[-1] for rule in remote_rules(look, edge, config)}
    assert methods <= {"scram-sha-256", "cert"}, f"{edge.name}: clients are let in by {sorted(methods)}"


def test_tls_both_ways(
    edge: HostEntry,
    config: dict[str, str],
    pooler: Pooler,
    manifest: Manifest,
    superuser: psycopg.Connection[Any],
    product: ProductEntry,
) -> None:
    """PLAT-22: TLS to the server, its name verified, and from clients; outside dev from all of them."""
    expect.same(config, {"server_tls_sslmode": "verify-full"}, edge.name)
    offered = ("allow", "prefer") if manifest.identity.kind is Kind.DEV else ()
    assert config["client_tls_sslmode"] in ("require", "verify-ca", "verify-full", *offered), config[
        "client_tls_sslmode"
    ]
    with pooler.connect(product.product.app_role, product.product.name, edge) as client:
        assert client.pgconn.ssl_in_use, f"{edge.name}: the client's connection is not encrypted"
        found = client.execute("select pg_backend_pid()").fetchone()
        assert found
        row = superuser.execute("select ssl from pg_stat_ssl where pid = %s", found).fetchone()
    assert row == (True,), f"{edge.name}: the connection to the server is not encrypted"


def test_plaintext_is_refused(edge: HostEntry, pooler: Pooler, secured: ProductEntry) -> None:
    """PLAT-40, X-51: whoever comes in clear is turned away, with the right password too; in dev those of a product that
    asks for it."""
    role, name = secured.product.app_role, secured.product.name
    with (
        pytest.raises(psycopg.OperationalError, match=r"SSL required|no authentication method|login rejected"),
        pooler.connect(role, name, edge, sslmode="disable"),
    ):
        pytest.fail(f"{edge.name}: {role} logged in in clear", pytrace=False)


def test_only_applications_come_through(pooler: Pooler, edge: HostEntry, product: ProductEntry) -> None:
    """PLAT-19, PLAT-21: roles that see all rows, and superusers, cannot log in through the pooler."""
    for role in (product.product.migrator_role, "keel_backup", "postgres"):
        with (
            pytest.raises(
                psycopg.OperationalError, match=r"no such user|authentication failed|no authentication method"
            ),
            pooler.connect(role, product.product.name, edge),
        ):
            pytest.fail(f"{edge.name}: {role} logged in to {product.product.name} through the pooler", pytrace=False)


def test_wrong_password(pooler: Pooler, edge: HostEntry, product: ProductEntry) -> None:
    """PLAT-11: no password of a seed and no obvious one opens the application's role."""
    role, database = product.product.app_role, product.product.name
    for password in ("dev_password", "app_password", "pass", "password", role):
        with (
            pytest.raises(psycopg.OperationalError, match="authentication failed"),
            pooler.connect(role, database, edge, password),
        ):
            pytest.fail(f"{edge.name}: {password!r} opens {role}", pytrace=False)
