"""The few lines that carry a promise: who gets in, who may read what, how long backups stay, what a crash survives.

A golden file is written again with one command and would follow a mistake; what is here a person has to change by hand.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from environment.settings import Repository, SecondRepository
from keel_host.config import BackupHost
from keel_host.typed import build
from roles.kit.declare import Directory, File, Unit
from roles.order import ROLES
from tests.roles.declared import environments, named
from tests.roles.targets import files, manifest_of, placements, target

ACCESS = {
    "dev": [
        "local all postgres peer map=keel",
        "local postgres keel_sessions peer map=keel",
        "local all keel_restore peer map=keel",
        "local all keel_look,keel_monitor,keel_backup peer map=keel",
        "local replication keel_replication scram-sha-256",
        "local postgres keel_rewind scram-sha-256",
        "hostssl postgres keel_pgbouncer 10.88.0.21/32 scram-sha-256 clientcert=verify-full",
        "hostssl ai_assistant,/^ai_assistant_scratch_[a-z0-9_]+$ ai_assistant_app,ai_assistant_readonly,ai_assistant_migrator 10.88.0.21/32 scram-sha-256",
        "host bacopilot,/^bacopilot_scratch_[a-z0-9_]+$ bacopilot_app,bacopilot_readonly,bacopilot_migrator 10.88.0.21/32 scram-sha-256",
        "host componentforge,/^componentforge_scratch_[a-z0-9_]+$ componentforge_app,componentforge_readonly,componentforge_migrator 10.88.0.21/32 scram-sha-256",
        "host jeex_idea,/^jeex_idea_scratch_[a-z0-9_]+$ jeex_user,jeex_idea_readonly,jeex_idea_migrator 10.88.0.21/32 scram-sha-256",
        "host ruleiq,/^ruleiq_scratch_[a-z0-9_]+$ ruleiq_api,ruleiq_worker,ruleiq_readonly,ruleiq_migrator 10.88.0.21/32 scram-sha-256",
        "hostssl postgres,ai_assistant,bacopilot,componentforge,jeex_idea,ruleiq keel_admin,keel_monitor 10.88.0.21/32 "
        "scram-sha-256",
        "hostssl replication keel_replication 10.88.0.12/32 scram-sha-256 clientcert=verify-full",
        "hostssl postgres keel_rewind 10.88.0.12/32 scram-sha-256 clientcert=verify-full",
        "hostssl all keel_backup 10.88.0.31/32 scram-sha-256",
        "host all,replication all all reject",
    ],
    "ci": [
        "local all postgres peer map=keel",
        "local postgres keel_sessions peer map=keel",
        "local all keel_restore peer map=keel",
        "local all keel_look,keel_monitor,keel_backup peer map=keel",
        "local replication keel_replication scram-sha-256",
        "local postgres keel_rewind scram-sha-256",
        "local all keel_backup scram-sha-256",
        "hostssl postgres keel_pgbouncer 10.89.0.11/32 scram-sha-256 clientcert=verify-full",
        "hostssl ai_assistant,/^ai_assistant_scratch_[a-z0-9_]+$ ai_assistant_app,ai_assistant_readonly,ai_assistant_migrator 10.89.0.11/32 scram-sha-256",
        "hostssl bacopilot,/^bacopilot_scratch_[a-z0-9_]+$ bacopilot_app,bacopilot_readonly,bacopilot_migrator 10.89.0.11/32 scram-sha-256",
        "hostssl componentforge,/^componentforge_scratch_[a-z0-9_]+$ componentforge_app,componentforge_readonly,componentforge_migrator 10.89.0.11/32 scram-sha-256",
        "hostssl jeex_idea,/^jeex_idea_scratch_[a-z0-9_]+$ jeex_user,jeex_idea_readonly,jeex_idea_migrator 10.89.0.11/32 scram-sha-256",
        "hostssl ruleiq,/^ruleiq_scratch_[a-z0-9_]+$ ruleiq_api,ruleiq_worker,ruleiq_readonly,ruleiq_migrator 10.89.0.11/32 scram-sha-256",
        "hostssl postgres,ai_assistant,bacopilot,componentforge,jeex_idea,ruleiq keel_admin,keel_monitor 10.89.0.11/32 "
        "scram-sha-256",
        "host all,replication all all reject",
    ],
}
"""PostgreSQL's whole access list, in order: the first line that fits decides."""
LOGINS = [
    "keel postgres postgres", "keel root postgres", "keel postgres keel_sessions", "keel root keel_restore",
    *(f"keel {account} {login}" for login in ("keel_look", "keel_monitor", "keel_backup") for account in ("postgres", "root")),
]  # fmt: skip
"""As whom accounts of a database host may come over its socket."""


def new_cluster(stack: str) -> dict[str, Any]:
    """Patroni's configuration in etcd as a new cluster begins with it."""
    return dict(json.loads(files("postgres", stack)["/etc/patroni/new-cluster.json"].content))


@pytest.mark.parametrize("stack", ACCESS)
def test_who_reaches_postgresql(stack: str) -> None:
    """PLAT-39, PLAT-41, X-51, W4: other members to replicate and, after a crash, to rewind; the backup host for its dumps; edges
    for the logins of products, in clear in dev alone and never those of the product that asks for TLS, for the look-up with its
    certificate, for maintenance. Nobody else, and no superuser. In dev and ci a product's logins come to its throwaway copies too."""
    read = yaml.safe_load(files("postgres", stack)["/etc/patroni/config.yml"].content)["postgresql"]
    assert read["pg_hba"] == ACCESS[stack]
    assert read["pg_ident"] == LOGINS


def test_a_member_that_was_lost_in_a_crash_can_come_back() -> None:
    """Rewound, which needs its hints and a login, checked against the authority like every other."""
    read = yaml.safe_load(files("postgres")["/etc/patroni/config.yml"].content)
    dynamic = new_cluster("dev")["postgresql"]
    assert dynamic["use_pg_rewind"] is True and dynamic["use_slots"] is True
    assert dynamic["remove_data_directory_on_rewind_failure"] is True
    assert dynamic["parameters"]["wal_log_hints"] == "on"
    for login in ("replication", "rewind"):
        assert read["postgresql"]["authentication"][login]["sslmode"] == "verify-full"
        assert read["postgresql"]["authentication"][login]["sslrootcert"] == "/etc/keel/ca.crt"


@pytest.mark.parametrize(
    ("stack", "host", "admitted"),
    [
        ("dev", "db1", ["ops1.pgbackrest=dev"]),
        ("dev", "ops1", ["db1.pgbackrest=dev", "db2.pgbackrest=dev"]),
        ("ci", "all1", []),
    ],
)
def test_who_reaches_pgbackrest(stack: str, host: str, admitted: list[str]) -> None:
    """JEEX-30: by certificate, the other side alone, and of this cluster alone."""
    name = "server" if host == "ops1" else "pgbackrest"
    lines = files("pgbackrest", stack, host)[f"/etc/pgbackrest/{name}.conf"].content.splitlines()
    assert [line.partition("=")[2] for line in lines if line.startswith("tls-server-auth")] == admitted


def test_what_is_spoken_on_the_network_is_closed_to_listeners() -> None:
    """PLAT-39: TLS 1.2 or later at the server; certificates of both sides in the store; the pooler verifies its server."""
    given = new_cluster("dev")["postgresql"]["parameters"]
    assert (given["ssl"], given["ssl_min_protocol_version"], given["ssl_ca_file"]) == (
        "on",
        "TLSv1.2",
        "/etc/keel/ca.crt",
    )
    store = files("etcd")["/etc/default/etcd"].content
    assert "ETCD_CLIENT_CERT_AUTH=true\n" in store and "ETCD_PEER_CLIENT_CERT_AUTH=true\n" in store
    assert not [line for line in store.splitlines() if "URLS=" in line and "http://" in line]
    assert "\nserver_tls_sslmode = verify-full\n" in files("pgbouncer")["/etc/pgbouncer/pgbouncer.ini"].content
    assert {"port 0", "tls-port 6379"} <= set(files("redis")["/etc/redis/redis.conf"].content.splitlines())


def test_who_reaches_redis_and_what_he_may_do() -> None:
    """PLAT-25, W10: the default account does nothing, Keel's asks how full it is and who was refused, whose connection it ends; each product's has its own keys and channels
    and no command that administers, endangers, runs a program or lists others' names."""
    default, monitor, *accounts = files("redis")["/etc/redis/users.acl"].content.splitlines()
    assert default.split() == ["user", "default", "off", "resetpass", "-@all"]
    assert monitor.split()[:3] == ["user", "keel_monitor", "on"]
    assert monitor.split()[4:] == [
        "resetkeys",
        "resetchannels",
        "-@all",
        "+auth",
        "+ping",
        "+info",
        "+acl|log",
        "+client|kill",
        "+multi",
        "+exec",
    ]
    assert [account.split()[1] for account in accounts] == list(manifest_of("dev").products)
    for account in accounts:
        user, name, on, digest, *limits = account.split()
        assert (user, on) == ("user", "on") and digest.startswith("#") and len(digest) == 65
        assert limits[:4] == ["resetkeys", f"~{name}:*", "resetchannels", f"&{name}:*"]
        assert limits[4] == "-@all" and not {"+@all", "+@admin", "+@dangerous", "+@scripting"} & set(limits)
        never = {
            "-@admin",
            "-@dangerous",
            "-@scripting",
            "-scan",
            "-randomkey",
            "-dbsize",
            "-pubsub",
            "-client|tracking",
        }
        assert never <= set(limits)
        assert not any(limit.startswith(("+", "~", "&")) for limit in limits[limits.index("-@admin") :])
    assert len({account.split()[3] for account in (monitor, *accounts)}) == len(accounts) + 1


def test_clients_of_a_member_that_is_out_are_let_go() -> None:
    """JEEX-20, PLAT-03: not left on a server that no longer leads; a member is out after two failed checks, back after one."""
    lines = [line.strip() for line in files("haproxy")["/etc/haproxy/haproxy.cfg"].content.splitlines()]
    default, quicker = (line for line in lines if line.startswith("default-server"))
    assert quicker == "default-server downinter 100ms", "a new primary is found within a tenth of a second"
    assert default == (
        "default-server inter 1000ms fastinter 100ms fall 2 rise 1 on-marked-down shutdown-sessions "
        "check check-ssl verify required ca-file /etc/keel/ca.crt crt /etc/keel/tls/haproxy-to-patroni/cert.pem"
    )
    assert lines.count("http-check expect status 200") == lines.count("option httpchk") == 3
    assert "timeout check 2s" in lines and "timeout connect 4s" in lines


@pytest.mark.parametrize("fallback", [True, False])
def test_reads_go_to_the_primary_where_no_replica_serves(fallback: bool) -> None:
    """Where the setting says so. A replica serves new sessions while it streams and is near enough, and keeps those it has."""
    settings = manifest_of("dev").haproxy.model_copy(update={"read_fallback": fallback, "read_lag": 7})
    text = files("haproxy", haproxy=settings)["/etc/haproxy/haproxy.cfg"].content
    assert "GET uri /readiness?mode=apply&lag=7MB" in text.partition("\nbackend fresh\n")[2].partition("\nbackend ")[0]
    (frontend,) = (part for part in text.split("\n\n") if part.startswith("frontend replica"))
    rules = [line.strip() for line in frontend.splitlines()[1:] if not line.strip().startswith("#")]
    direct = [rule for rule in rules if rule.startswith(("acl", "log")) or " content " in rule or "track-sc0" in rule]
    assert rules == [
        "bind 10.88.0.21:5001", "bind 127.0.0.1:5001",
        "tcp-request connection reject unless { src 127.0.0.0/8 10.88.0.21/32 10.88.0.1/32 10.88.0.128/25 }",
        *direct,
        "use_backend replica if { srv_is_up(replica/db1) } { srv_is_up(fresh/db1) }",
        "use_backend replica if { srv_is_up(replica/db2) } { srv_is_up(fresh/db2) }",
        "use_backend replica if { nbsrv(primary) eq 0 } { nbsrv(replica) gt 0 }",
        *["default_backend primary"] * fallback,
    ]  # fmt: skip


def test_reads_of_an_edge_are_on_one_replica_and_edges_begin_with_another() -> None:
    """A request to cancel comes as a connection of its own: it has to reach the server that runs the query."""
    chosen = []
    for edge in ("edge1", "edge2"):
        text = files("haproxy", "production", edge)["/etc/haproxy/haproxy.cfg"].content
        servers = [line.split() for line in text.splitlines() if line.strip().startswith("use-server")]
        chosen.append([name for _, name, *_ in servers])
        assert [rule for _, name, *rule in servers if rule != ["if", "{", f"srv_is_up(fresh/{name})", "}"]] == []
    assert sorted(chosen[0]) == sorted(chosen[1]) and chosen[0][0] != chosen[1][0]


@pytest.mark.parametrize(("days", "settings"), [(30, Repository()), (14, Repository(retention_days=14))])
def test_backups_are_kept_for_days_not_for_a_number(days: int, settings: Repository) -> None:
    """PLAT-33, ADA-24: every point of the last 30 days; archived WAL goes with the backups that need it, never before."""
    content = files("pgbackrest", host="ops1", repository=settings)["/etc/pgbackrest/pgbackrest.conf"].content
    kept = {line for line in content.splitlines() if "retention" in line}
    assert kept == {"repo1-retention-full-type=time", f"repo1-retention-full={days}"}


def test_each_repository_has_days_of_its_own() -> None:
    """PLAT-33: of the second one backups go by its own setting."""
    second = SecondRepository(endpoint="s3.example.com", bucket="backups", retention_days=90)
    both = Repository(retention_days=14, second=second)
    content = files("pgbackrest", host="ops1", repository=both)["/etc/pgbackrest/pgbackrest.conf"].content
    kept = sorted({line for line in content.splitlines() if "retention" in line})
    assert kept == [
        "repo1-retention-full-type=time", "repo1-retention-full=14",
        "repo2-retention-full-type=time", "repo2-retention-full=90",
    ]  # fmt: skip


@pytest.mark.parametrize("days", [30, 14])
def test_dumps_and_known_moments_are_kept_as_long_as_backups(days: int) -> None:
    """PLAT-33, BAC-34."""
    content = files("jobs", repository=Repository(retention_days=days))[str(BackupHost.FILE)].content
    host = build(BackupHost, json.loads(content))
    assert (host.retention_days, host.retention) == (days, days * 86400)


def test_logs_of_jobs_are_kept_for_eight_weeks() -> None:
    """PLAT-43: a new file each week, the old ones compressed."""
    lines = [line.strip() for line in files("jobs")["/etc/logrotate.d/keel"].content.splitlines()]
    assert lines[0] == "/var/log/keel/*.log {" and {"weekly", "rotate 8", "compress"} <= set(lines)


def test_what_is_acknowledged_is_on_the_disk() -> None:
    """No setting takes durability back, and where there is a replica a commit waits for it."""
    for name in ("dev", "ci", "production"):
        dynamic = new_cluster(name)
        given = dynamic["postgresql"]["parameters"].keys()
        assert not given & {"fsync", "full_page_writes", "synchronous_commit", "wal_sync_method"}
        assert dynamic["synchronous_mode"] is (name != "ci")


@pytest.mark.parametrize("stack", ["dev", "production"])
def test_members_of_a_cluster_restart_one_at_a_time(stack: str) -> None:
    """Design, principle 8: of the store a majority stays, of the servers all but one. A service without peers waits for nothing."""
    manifest = manifest_of(stack)
    units: dict[str, set[bool]] = {}
    for role, host in placements(manifest):
        for unit in role.units(target(role, host, manifest)):
            units.setdefault(unit.name, set()).add(unit.serial)
    assert {name for name, serial in units.items() if serial == {True}} == {"etcd.service", "patroni.service"}
    assert all(len(serial) == 1 for serial in units.values())


SECRET = {
    "/etc/patroni/config.yml": ("postgres", "postgres", "600"),
    "/etc/patroni/api.netrc": ("root", "root", "600"),
    "/etc/pgbackrest/pgbackrest.conf": ("postgres", "postgres", "600"),
    "/etc/pgbackrest/server.conf": ("postgres", "postgres", "640"),
    "/etc/pgbackrest/scratch.conf": ("postgres", "postgres", "600"),
    "/etc/pgbackrest/second.conf": ("postgres", "postgres", "600"),
    "/etc/keel/backup.pgpass": ("postgres", "postgres", "600"),
    "/etc/pgbouncer/userlist.txt": ("postgres", "postgres", "640"),
    "/etc/redis/users.acl": ("redis", "redis", "640"),
    "/etc/keel/redis-monitor": ("root", "root", "600"),
}
"""Every file with a secret, or what one can be tried against, and who may read it."""
CLOSED = {
    "/root/.ssh/authorized_keys": ("root", "root", "600"),
    "/etc/ssh/sshd_config.d/00-keel.conf": ("root", "root", "600"),
    "/etc/haproxy/haproxy.cfg": ("root", "haproxy", "640"),
    "/etc/keel/backup.json": ("root", "postgres", "640"),
    "/etc/keel/member.json": ("root", "postgres", "640"),
    "/etc/pgbouncer/pgbouncer.ini": ("postgres", "postgres", "640"),
    "/etc/keel/firewall.nft": ("root", "root", "600"),
    "/etc/pgbouncer/listen.ini": ("postgres", "postgres", "640"),
    "/etc/pgbouncer/databases.ini": ("postgres", "postgres", "640"),
    "/etc/pgbouncer/pg_hba.conf": ("postgres", "postgres", "640"),
    "/etc/redis/redis.conf": ("redis", "redis", "640"),
}
"""Without a secret, and still for the service alone."""
FOLDERS = {
    "/root/.ssh": ("root", "root", "700"),
    "/var/lib/etcd": ("etcd", "etcd", "700"),
    "/var/lib/redis": ("redis", "redis", "750"),
    "/var/lib/postgresql": ("postgres", "postgres", "755"),
    "/var/lib/postgresql/18": ("postgres", "postgres", "755"),
    "/var/log/postgresql": ("postgres", "postgres", "700"),
    "/var/log/pgbackrest": ("postgres", "postgres", "750"),
    "/var/spool/cron/crontabs": ("root", "crontab", "1730"),
    "/var/spool/pgbackrest": ("postgres", "postgres", "750"),
    "/var/spool/pgbackrest/locks": ("postgres", "postgres", "750"),
    "/var/lib/pgbackrest": ("postgres", "postgres", "751"),
    **{
        f"/var/lib/pgbackrest/generation-{number}{below}": ("postgres", "postgres", "750")
        for number in (1, 2)
        for below in ("", "/archive")
    },
    "/var/lib/pgbackrest/dumps": ("postgres", "postgres", "700"),
    "/var/lib/pgbackrest/known-moments": ("postgres", "postgres", "700"),
    "/var/lib/pgbackrest/drills": ("root", "root", "700"),
}
"""Folders that are not root's or not everybody's."""
PUBLIC, PROGRAM, FOLDER = ("root", "root", "644"), ("root", "root", "755"), ("root", "root", "755")


def wanted(entry: File | Directory) -> tuple[str, str, str]:
    """Owner, group and mode by the kind of what is declared."""
    if isinstance(entry, Directory):
        return FOLDERS.get(entry.path, FOLDER)
    if any(mark in entry.content for mark in ("<password ", "<cipher ", "<s3 ")) or entry.path.endswith(".acl"):
        return SECRET[entry.path]
    if entry.path in SECRET:  # on a host that gets no secret
        return SECRET[entry.path]
    return CLOSED.get(entry.path, PROGRAM if entry.content.startswith("#!") else PUBLIC)


@pytest.mark.parametrize("name", environments())
def test_files_and_folders_have_the_mode_of_their_kind(name: str) -> None:
    """PLAT-49, PLAT-11, PLAT-22, JEEX-30: by what is in them, not by what their role says."""
    manifest = environments()[name]
    found = {}
    for role, host in placements(manifest):
        at = named(role, host, manifest)
        declared: tuple[File | Directory, ...] = (*role.files(at), *role.directories(at))
        for entry in declared:
            found[host, entry.path] = (entry, (entry.owner, entry.group, entry.mode))
    declares = {at: wanted(entry) for at, (entry, _) in found.items()}
    assert {at: mode for at, (_, mode) in found.items()} == declares


def test_private_keys_belong_to_their_service() -> None:
    """PLAT-49: the key of a service is readable by it alone."""
    manifest = manifest_of("dev")
    owners = {
        pair.directory: (pair.owner, pair.group)
        for role, host in placements(manifest)
        for pair in role.certificates(target(role, host, manifest))
        if host != "ops1"
    }
    (receiving,) = (
        p for p in ROLES["pgbackrest"].certificates(target(ROLES["pgbackrest"], "ops1", manifest)) if p.leaf.serves
    )
    assert (receiving.owner, receiving.group) == ("keel-receiver", "keel-receiver")
    assert owners == {
        "/etc/keel/tls/etcd": ("etcd", "etcd"),
        "/etc/keel/tls/lookup": ("postgres", "postgres"),
        "/etc/keel/tls/keel_replication": ("postgres", "postgres"),
        "/etc/keel/tls/keel_rewind": ("postgres", "postgres"),
        "/etc/keel/tls/etcd-peers": ("etcd", "etcd"),
        "/etc/keel/tls/haproxy-to-patroni": ("haproxy", "haproxy"),
        "/etc/keel/tls/patroni-to-etcd": ("postgres", "postgres"),
        "/etc/keel/tls/patroni-to-patroni": ("postgres", "postgres"),
        "/etc/keel/tls/pgbackrest": ("postgres", "postgres"),
        "/etc/keel/tls/pgbackrest-to-pgbackrest": ("postgres", "postgres"),
        "/etc/keel/tls/postgres": ("postgres", "postgres"),
        "/etc/keel/tls/pgbouncer": ("postgres", "postgres"),
        "/etc/keel/tls/redis": ("redis", "redis"),
    }


def test_a_unit_is_not_serial_by_chance() -> None:
    """What a role does not say: no restart, no reload, no turn to wait for."""
    plain = Unit("a.service")
    assert (plain.restart, plain.reload, plain.ready, plain.working, plain.serial) == ((), (), None, "false", False)
    assert plain.triggers == ()
    assert (Directory("/a").mode, File("/a", "").mode, File("/a", "").check) == ("755", "644", None)


def test_every_role_is_looked_at() -> None:
    """The tables above see every role: each has files in one of the environments."""
    assert {role.name for name in environments() for role, _ in placements(environments()[name])} == set(ROLES)
