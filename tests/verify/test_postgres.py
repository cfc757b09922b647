"""PostgreSQL, each server of the cluster: version, effective settings, log files, access rules."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

import psycopg

from environment import access, server_parameters
from environment.kind import Kind
from environment.manifest import HostEntry, Manifest
from environment.products import Product
from environment.server_parameters import text
from ops.steps.checks import Function
from tests.verify import expect
from tests.verify.look import Look

LOGS = "/var/log/postgresql"
FROM_CODE = ("configuration file", "command line")
"""Sources of a setting that a file of this repository gave; Patroni passes some as arguments."""


def test_version(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-01: the server and the dump and restore clients are of the configured major version."""
    wanted = manifest.release.postgres
    tools = {
        tool: re.search(r"\) (\d+)", look.shell(server, f"{tool} --version"))
        for tool in ("psql", "pg_dump", "pg_restore", "pg_basebackup")
    }
    found = {tool: int(match[1]) if match else None for tool, match in tools.items()}
    expect.same(
        {"server": look.server(server).version, **found}, dict.fromkeys(["server", *tools], wanted), server.name
    )


def test_memory(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """ADA-01: memory and connections are what the environment sets, 256 MB, 1 GB, 8 MB, 128 MB and 100 by default."""
    facts, settings = look.server(server), manifest.postgres
    memory = ("shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem")
    expect.same(
        {name: facts.megabytes(name) for name in memory},
        {name: getattr(settings, name) for name in memory},
        server.name,
    )
    counts = ("max_connections", "superuser_reserved_connections")
    expect.same(facts.settings, {name: str(getattr(settings, name)) for name in counts}, server.name)


def test_tuned_explicitly(server: HostEntry, look: Look) -> None:
    """JEEX-05: shared_buffers and work_mem are given by code, not left to the package."""
    sources = look.server(server).sources
    expect.nothing(
        f"{server.name}: {name} comes from {sources[name]}"
        for name in ("shared_buffers", "work_mem")
        if sources[name] not in FROM_CODE
    )


def test_log_files(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """BAC-05: the collector writes files of the given name and mode to a directory of the server's user."""
    facts = look.server(server)
    expect.same(
        facts.settings,
        {
            "log_destination": "stderr",
            "logging_collector": "on",
            "log_directory": LOGS,
            "log_filename": "postgresql-%Y-%m-%d_%H%M%S.log",
            "log_file_mode": manifest.postgres.log_file_mode,
            "log_rotation_age": "1d",
        },
        server.name,
    )
    current = facts.log_file or "(none)"
    assert re.fullmatch(rf"{LOGS}/postgresql-\d{{4}}-\d\d-\d\d_\d{{6}}\.log", current), (
        f"{server.name} logs to {current}"
    )
    found = look.paths(server, (LOGS, current))
    assert (found[LOGS].owner, found[LOGS].mode) == ("postgres", "700"), f"{server.name}: {LOGS}: {found[LOGS]}"
    mode = manifest.postgres.log_file_mode.lstrip("0")
    assert (found[current].owner, found[current].mode) == ("postgres", mode), (
        f"{server.name}: {current}: {found[current]}"
    )


def test_what_is_logged(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """BAC-06, BAC-39, ADA-31: changes, slow statements, checkpoints, connections and lock waits are logged."""
    facts = look.server(server)
    wanted = {
        "log_statement": manifest.postgres.log_statement,
        "log_checkpoints": "on",
        "log_disconnections": "on",
        "log_replication_commands": "on",
        "log_lock_waits": "on",
    }
    expect.same(facts.settings, wanted, server.name)
    # From 18 on a list of what to log, of which `on` is the old meaning.
    assert facts.settings["log_connections"] in ("on", "all"), f"{server.name}: {facts.settings['log_connections']}"
    slow = {"log_min_duration_statement": str(manifest.postgres.log_min_duration_statement)}
    expect.same(facts.numbers, slow, server.name)


def test_no_values_are_logged(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """X-42, W7: what is bound to a statement, and the row in which it fails, is in the log only where the stack says so."""
    values = manifest.postgres.log_values
    wanted = {
        "log_parameter_max_length": "-1" if values else "0",
        "log_error_verbosity": "default" if values else "terse",
    }
    expect.same(look.server(server).settings, wanted, server.name)


def test_old_logs_are_removed(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-43: no file of the log is older than the stack says; one more day for the removal, which comes daily."""
    days = manifest.postgres.log_retention_days + 1
    old = look.shell(server, f"find {LOGS} -type f -mtime +{days}").split()
    expect.nothing(f"{server.name}: {path} is older than {days} days" for path in old)


def test_log_prefix(server: HostEntry, look: Look) -> None:
    """BAC-07: lines begin with time, process, line, user, database, application and client, as the running log shows."""
    facts = look.server(server)
    wanted = "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h "
    expect.same(facts.settings, {"log_line_prefix": wanted}, server.name)
    line = look.shell(server, f"grep -m1 -a ' LOG: ' {shlex.quote(str(facts.log_file))}").rstrip("\n")
    pattern = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \[\d+\]: \[\d+-1\] user=.*,db=.*,app=.*,client=.* LOG: .*"
    assert re.fullmatch(pattern, line), f"{server.name}: {line}"


def test_statistics_of_statements(server: HostEntry, look: Look) -> None:
    """BAC-08, PLAT-08: pg_stat_statements is preloaded and tracks all statements, utility commands and planning."""
    settings = look.server(server).settings
    preloaded = settings["shared_preload_libraries"].replace(" ", "").split(",")
    assert "pg_stat_statements" in preloaded, f"{server.name} preloads {preloaded}"
    wanted = {"track": "all", "track_utility": "on", "track_planning": "on"}
    expect.same(settings, {f"pg_stat_statements.{name}": value for name, value in wanted.items()}, server.name)


def test_asynchronous_io(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """JEEX-02: input and output are asynchronous where the server can (18 and later)."""
    if manifest.release.postgres >= 18:
        found = look.server(server).settings["io_method"]
        assert found in ("worker", "io_uring"), f"{server.name}: io_method is {found}"


def test_write_ahead_log(server: HostEntry, look: Look) -> None:
    """PLAT-04: WAL suffices for replication and recovery, and a server that archives has a command to do it with."""
    settings = look.server(server).settings
    assert settings["wal_level"] in ("replica", "logical"), f"{server.name}: wal_level is {settings['wal_level']}"
    if settings["archive_mode"] != "off":
        command = settings["archive_command"]
        assert command not in ("", "(disabled)"), f"{server.name}: archive_mode is on without a command"


def test_slots_are_bounded(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-38: what a slot may hold back of the WAL is bounded."""
    found = look.server(server).megabytes("max_slot_wal_keep_size")
    assert found == manifest.postgres.max_slot_wal_keep_size, f"{server.name}: max_slot_wal_keep_size is {found} MB"


def test_autovacuum(server: HostEntry, look: Look) -> None:
    """PLAT-46: autovacuum is on, with the counters it needs."""
    expect.same(look.server(server).settings, {"autovacuum": "on", "track_counts": "on"}, server.name)


def test_time_zone(server: HostEntry, look: Look) -> None:
    """X-05: the server lives in UTC, so that timestamps with and without a zone agree."""
    expect.same(look.server(server).settings, {"TimeZone": "UTC", "log_timezone": "UTC"}, server.name)


def test_parameters_of_the_stack(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-03: what the stack file sets under keel:postgres.parameters is in force on every server, by value and not by form."""
    known, facts = server_parameters.known(manifest.release.postgres), look.server(server)
    found = facts.settings | facts.numbers
    expect.nothing(
        f"{server.name}: {name} is {found.get(name)}, declared: {text(value)}"
        for name, value in manifest.postgres.parameters.items()
        if name not in found or not known[name].same(found[name], value)
    )


def test_cluster_wide_timeout(server: HostEntry, look: Look) -> None:
    """ADA-02: statement_timeout is a matter of the application's roles, not of the cluster (X-12)."""
    expect.same(look.server(server).settings, {"statement_timeout": "0"}, server.name)


def test_checksums(server: HostEntry, look: Look) -> None:
    """PLAT-49: pages have checksums, and nothing was switched off that keeps committed rows."""
    wanted = {"data_checksums": "on", "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
    expect.same(look.server(server).settings, wanted, server.name)


def test_nothing_set_by_hand(server: HostEntry, look: Look) -> None:
    """PLAT-03: no setting comes from ALTER SYSTEM, and none waits for a restart to become effective."""
    facts = look.server(server)
    expect.nothing(f"{server.name}: {name} is in postgresql.auto.conf" for name in facts.by_hand)
    expect.nothing(f"{server.name}: {name} waits for a restart" for name in facts.pending_restart)


def test_encryption(server: HostEntry, look: Look) -> None:
    """PLAT-39: TLS is on, no older than 1.2, and passwords are kept as SCRAM verifiers."""
    wanted = {"ssl": "on", "ssl_min_protocol_version": "TLSv1.2", "password_encryption": "scram-sha-256"}
    expect.same(look.server(server).settings, wanted, server.name)


def test_access_rules(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-39: whoever comes over the network shows a SCRAM password or a certificate, outside dev over TLS only."""
    problems = []
    for rule in look.server(server).hba:
        told = f"{server.name}: {rule.type} {','.join(rule.database)} {','.join(rule.user_name)} {rule.address} {rule.auth_method}"
        if rule.error:
            problems.append(f"{server.name}: {rule.error}")
        if rule.type == "local" or rule.auth_method == "reject":
            continue
        if rule.auth_method not in ("scram-sha-256", "cert"):
            problems.append(told)
        if manifest.identity.kind is not Kind.DEV and rule.type != "hostssl":
            problems.append(f"{told}: not over TLS only")
        if rule.address in ("all", "0.0.0.0", "::", "samenet"):
            problems.append(f"{told}: open to every address")
    expect.nothing(problems)


def test_only_declared_logins_are_admitted(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-41, JEEX-33, X-51, W4: past the pooler come the logins of the one table, each from its hosts' own addresses, the
    cluster's own over TLS alone; whatever else comes is turned away."""
    found = [rule.text for rule in look.server(server).hba if rule.type != "local"]
    wanted = [line.text for line in access.lines(manifest, server, "postgres")]
    expect.exactly(found, [*wanted, "host all,replication all all reject"], f"{server.name}: access rule")
    assert found[-1].endswith("reject"), f"{server.name}: {found[-1]} comes last"


def test_uuids(direct: Callable[[Product], str], manifest: Manifest, uuid: Function) -> None:
    """JEEX-01: the server makes UUIDs of version 7 itself, built in from 18 on, and of version 4."""
    for name, entry in manifest.products.items():
        with psycopg.connect(direct(entry.product)) as migrator:
            row = migrator.execute(f"select left(substr({uuid.name}()::text, 15), 1)").fetchone()
        assert row == ("7" if uuid.name == "uuidv7" else "4",), f"{uuid.name}() in {name} makes version {row}"
        if manifest.release.postgres >= 18:
            break  # the server's own, the same in each
