"""Gather the facts of `./keel status`: each host is asked for all that it carries in one SSH command, all at the same time."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from environment.manifest import HostEntry, Manifest
from environment.names import LOOK, MONITOR, SUPERUSER
from environment.products import revisions
from environment.types import Group
from environment.urls import redis_login
from keel_host import certificates
from keel_host.alerts import DAY
from keel_host.revision import QUESTION
from ops.hosts.session import Session, Unreachable
from ops.status.facts import Facts, HeadFacts, HostFacts, PoolFacts, RedisFacts, ServerFacts, WatchFacts
from roles import paths
from roles.etcd import etcdctl
from roles.postgres.patroni import Member, members_of, question

SERVER_SQL = Path(__file__).with_name("server.sql").read_text()
REVISION_SQL = QUESTION + "\\gexec\n"
LOOKING = "-c search_path=pg_catalog -c row_security=off -c default_transaction_read_only=on"
PATIENCE = 10
"""Seconds one question may take on its host."""
TIMEOUT = 15.0
"""Seconds a host may take for all of them: one that hangs must not hang the answer about the others."""

PACKAGES = {
    Group.POSTGRES: ("postgresql-{postgres}", "patroni"),
    Group.ETCD: ("etcd-server",),
    Group.EDGE: ("haproxy", "pgbouncer"),
    Group.REDIS: ("redis-server",),
}
"""The packages whose versions an operator asks for."""

Answers = dict[str, str]
"""Question → what the host said; a question that failed has no answer."""
T = TypeVar("T")


def collect(session: Session) -> Facts:
    """Everything at one moment. What does not answer is recorded in the facts, never raised."""
    manifest = session.manifest
    with ThreadPoolExecutor(len(manifest.hosts)) as pool:
        asked = list(pool.map(partial(_ask, session), manifest.hosts))
    hosts = tuple(facts for facts, _ in asked)
    answers = {facts.name: said for facts, said in asked}

    def answering(group: Group) -> dict[str, Answers]:
        return {host.name: answers[host.name] for host in hosts if not host.fault and group.value in host.groups}

    databases, edges = answering(Group.POSTGRES), answering(Group.EDGE)
    members = next(iter(_read(databases, "cluster", lambda _, said: members_of(manifest, said)).values()), [])
    configuration, cluster = _patroni(databases, members)
    servers = _read(databases, "server", lambda host, said: ServerFacts(host=host, **json.loads(said)))
    pools, leaving = _read(edges, "pools", _pools), _read(edges, "leaving", partial(_pools, leaving=True))
    at = _revisions(manifest, databases, servers)
    return Facts(
        environment=manifest.identity.name,
        kind=manifest.identity.kind,
        replicas=manifest.postgres.replicas,
        hosts=hosts,
        members=tuple(members),
        expected_members=tuple(host.name for host in manifest.carrying(Group.POSTGRES)),
        synchronous_mode=bool(configuration.get("synchronous_mode")),
        paused=bool(cluster.get("pause")),
        servers=tuple(servers.values()),
        etcd={host.name: "etcd" in answers[host.name] for host in manifest.carrying(Group.ETCD)},
        pools=tuple(pool for edge in pools for pool in (*pools[edge], *leaving.get(edge, ()))),
        silent_poolers=tuple(name for name in edges if name not in pools),
        redis=tuple(_redis(name, said) for name, said in answering(Group.REDIS).items()),
        heads=tuple(
            HeadFacts(product=name, current=at.get(name), head=revisions(name)[-1]) for name in manifest.products
        ),
        watch=_read(answers, "watch", _watch).get(manifest.repository_host.name),
    )


def _ask(session: Session, host: HostEntry) -> tuple[HostFacts, Answers]:
    """What a host says, and whether it does."""
    facts = HostFacts(name=host.name, address=str(host.address), groups=tuple(group.value for group in host.groups))

    def silent(fault: str) -> tuple[HostFacts, Answers]:
        return facts.model_copy(update={"fault": fault}), {}

    # On standard input: an argument would show the password to everybody on the host.
    given = f"AUTH {MONITOR} {session.roots.password(redis_login(MONITOR))}\nINFO\n"
    script = _script(dict(_questions(session.manifest, host)))
    try:
        said = session.run(host.name, script, timeout=TIMEOUT, given=given if host.carries(Group.REDIS) else "")
    except Unreachable:
        return silent(f"does not answer on {host.ssh.hostname}:{host.ssh.port} (SSH)")
    except subprocess.TimeoutExpired:
        return silent(f"did not answer within {TIMEOUT:.0f} s")
    except subprocess.CalledProcessError as error:
        return silent(f"cannot be asked: {error.stderr.strip()}")
    parts = said.split("\0")
    answers = dict(zip(parts[::2], parts[1::2], strict=False))
    if "units" not in answers:
        return silent(f"did not answer within {PATIENCE} s")
    pairs = (line.split(" ", 1) for line in answers.get("packages", "").splitlines() if " " in line)
    ends = certificates.times(answers.get("certificates", "").splitlines())
    left = [int((end - time.time()) // DAY) for end in ends]
    found = {
        "failed_units": tuple(answers["units"].split()),
        "versions": dict(pairs),
        "certificate_days": min(left, default=None),
    }
    return facts.model_copy(update=found), answers


def _questions(manifest: Manifest, host: HostEntry) -> Iterator[tuple[str, str]]:
    """Name and shell command of everything that ``host`` is asked."""

    def psql(user: str, database: str, options: str = "") -> str:
        return f"PGOPTIONS='{options}' psql -U {user} -p {manifest.ports.postgres} -d {database} -XAt"

    yield "units", "systemctl list-units --failed --plain --no-legend --no-pager | cut -d' ' -f1"
    yield "certificates", f"for pair in {paths.TLS}/*; do {' '.join(certificates.SHOW)} $pair/cert.pem; done"
    names = [
        name.format(postgres=manifest.release.postgres) for group in host.groups for name in PACKAGES.get(group, ())
    ]
    if names:
        yield "packages", f"dpkg-query -W -f '${{Package}} ${{Version}}\\n' {' '.join(names)}; true"
    if host.carries(Group.POSTGRES):
        yield "server", f"{psql(SUPERUSER, 'postgres')} -c {shlex.quote(SERVER_SQL)}"
        read = f"printf %s {shlex.quote(REVISION_SQL)}"
        yield from ((f"revision-{name}", f"{read} | {psql(LOOK, name, LOOKING)}") for name in manifest.products)
        yield from ((path, question(manifest, host.name, f"/{path}")) for path in ("cluster", "config"))
    if host.carries(Group.ETCD):
        yield "etcd", etcdctl.healthy(manifest, host)
    if host.carries(Group.EDGE):
        sockets, port = paths.PGBOUNCER_SOCKETS, manifest.ports.pgbouncer
        shown = "runuser -u postgres -- psql -U postgres -X --csv -c 'show pools' -d pgbouncer"
        yield "pools", f"{shown} -h {sockets} -p {port}"
        # One that was killed leaves its socket behind.
        each = f'[ "$each" -ef {sockets}/.s.PGSQL.{port} ] || {shown} -h "${{each%/*}}" -p "${{each##*.}}"'
        yield "leaving", f"for each in {sockets}/*/.s.PGSQL.*; do {each}; done; true"
    if host.carries(Group.REDIS):
        yield "redis", f"redis-cli --tls --cacert {paths.CA} -h 127.0.0.1 -p {manifest.ports.redis} <&3"
    if host == manifest.repository_host:
        # How long ago it looked, by its own clock.
        yield "watch", f"cat {paths.ALERTS} && echo $(( $(date +%s) - $(stat -c %Y {paths.ALERTS}) ))"


def _script(questions: Mapping[str, str]) -> str:
    """Shell that asks all questions at the same time and says `name NUL answer NUL` for each that succeeded."""
    return "\n".join(
        [
            "exec 3<&0; folder=$(mktemp -d -p /run keel-status.XXXXXXXX) || exit",
            "trap 'rm -rf \"$folder\"' EXIT; trap 'exit 1' HUP PIPE TERM",
            f'ask() {{ timeout {PATIENCE} sh -c "$2" >"$folder/$1" 2>/dev/null || rm -f "$folder/$1"; }}',
            *(f"ask {name} {shlex.quote(command)} &" for name, command in questions.items()),
            'wait; cd "$folder"',
            "for name in *; do printf '%s\\0' \"$name\"; cat \"$name\"; printf '\\0'; done",
        ]
    )


def _read(answers: Mapping[str, Answers], question: str, parse: Callable[[str, str], T]) -> dict[str, T]:
    """Host → its answer, of those whose answer can be read; what is missing, the verdict turns into a sentence."""
    found = {}
    for host, said in answers.items():
        with suppress(ValueError, KeyError):
            found[host] = parse(host, said[question])
    return found


def _revisions(
    manifest: Manifest, databases: Mapping[str, Answers], servers: Mapping[str, ServerFacts]
) -> dict[str, str]:
    """Product → revision, from the primary, else from any server that answers; a database without one is left out."""
    for host in sorted(servers, key=lambda host: servers[host].in_recovery):
        said = {name: databases[host].get(f"revision-{name}", "").strip() for name in manifest.products}
        return {name: revision for name, revision in said.items() if revision}
    return {}


def _patroni(
    databases: Mapping[str, Answers], members: Sequence[Member]
) -> tuple[dict[str, object], dict[str, object]]:
    """Patroni's configuration and its view of the cluster, from the leader, else from any that answers; empty without one."""
    configurations, clusters = (_read(databases, path, _document) for path in ("config", "cluster"))
    for member in sorted(members, key=lambda member: not member.leads):
        if member.name in configurations and member.name in clusters:
            return configurations[member.name], clusters[member.name]
    return {}, {}


def _document(_host: str, said: str) -> dict[str, object]:
    return dict(json.loads(said))


def _pools(edge: str, said: str, leaving: bool = False) -> list[PoolFacts]:
    """PgBouncer's pools, without the one of its own console. Several PgBouncers say the header several times."""
    return [
        PoolFacts(
            edge=edge,
            database=row["database"],
            user=row["user"],
            clients_active=int(row["cl_active"]),
            clients_waiting=int(row["cl_waiting"]),
            servers_active=int(row["sv_active"]),
            servers_idle=int(row["sv_idle"]),
            waited_seconds=int(row["maxwait"]),
            leaving=leaving,
        )
        for row in csv.DictReader(said.splitlines())
        if row["database"] not in ("pgbouncer", "database")
    ]


def _watch(_host: str, said: str) -> WatchFacts:
    """The active alerts on the backup host, and how long ago it looked."""
    alerts, _, seconds = said.rpartition("}\n")
    return WatchFacts(**json.loads(alerts + "}"), seconds_ago=int(seconds))


def _redis(host: str, answers: Answers) -> RedisFacts:
    said = answers.get("redis", "").splitlines()
    info = dict(line.split(":", 1) for line in said if ":" in line and not line.startswith("#"))
    try:
        return RedisFacts(
            host=host,
            used_bytes=int(info["used_memory"]),
            limit_bytes=int(info["maxmemory"]),
            clients=int(info["connected_clients"]),
        )
    except (KeyError, ValueError):
        return RedisFacts(host=host, fault="does not answer")
