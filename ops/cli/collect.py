"""Gather the facts of `./keel status`: hosts in parallel over SSH, each asked only for what it carries."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from environment.manifest import HostEntry
from environment.types import Group
from environment.urls import REDIS_ACCOUNT
from ops.cli.facts import Facts, HeadFacts, HostFacts, PoolFacts, RedisFacts, ServerFacts, WatchFacts
from ops.cluster import CA, Member, etcd_health, members, patroni
from ops.session import Session, Unreachable
from roles import paths

SERVER_SQL = Path(__file__).with_name("server.sql").read_text()
REVISION_SQL = "select version_num from alembic.alembic_version"
TIMEOUT = 15.0
"""Seconds one question may take: a host that hangs must not hang the answer about the others."""

PACKAGES = {
    Group.POSTGRES: ("postgresql-{postgres}", "patroni"),
    Group.ETCD: ("etcd-server",),
    Group.EDGE: ("haproxy", "pgbouncer"),
    Group.REDIS: ("redis-server",),
}
"""The packages whose versions an operator asks for."""

Failed = (Unreachable, subprocess.SubprocessError, ValueError, KeyError)
T = TypeVar("T")


def collect(session: Session) -> Facts:
    """Everything at one moment. What does not answer is told in the facts, never raised."""
    manifest = session.manifest
    with ThreadPoolExecutor(2 * len(manifest.hosts) + 4) as pool:
        # The first question to a host opens the connection that the others share.
        hosts = tuple(pool.map(partial(_host, session), manifest.hosts))
        up = {host.name for host in hosts if not host.fault}

        def asked(group: Group) -> list[HostEntry]:
            return [host for host in manifest.carrying(group) if host.name in up]

        heads = pool.submit(_checkout_heads, session)
        watch = pool.submit(_answer, partial(_watch, session), manifest.repository_host)
        found = pool.submit(members, session)
        etcd = pool.submit(etcd_health, session)
        pools = pool.map(partial(_answer, partial(_pools, session)), asked(Group.EDGE))
        redis = pool.map(partial(_redis, session), asked(Group.REDIS))
        servers = _present(pool.map(partial(_answer, partial(_server, session)), asked(Group.POSTGRES)))
        revisions = _revisions(session, servers)
        configuration, cluster = _patroni(session, found.result())
        listed = list(pools)
        return Facts(
            environment=manifest.identity.name,
            kind=manifest.identity.kind,
            replicas=manifest.postgres.replicas,
            hosts=hosts,
            members=tuple(found.result()),
            expected_members=tuple(host.name for host in manifest.carrying(Group.POSTGRES)),
            synchronous_mode=bool(configuration.get("synchronous_mode")),
            paused=bool(cluster.get("pause")),
            servers=servers,
            etcd=etcd.result(),
            pools=tuple(line for lines in listed if lines for line in lines),
            silent_poolers=tuple(h.name for h, lines in zip(asked(Group.EDGE), listed, strict=True) if lines is None),
            redis=tuple(redis),
            heads=tuple(
                HeadFacts(product=name, current=revisions.get(name), head=head) for name, head in heads.result().items()
            ),
            watch=watch.result(),
        )


def _present(values: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(value for value in values if value is not None)


def _answer(question: Callable[[HostEntry], T], host: HostEntry) -> T | None:
    """The answer of ``host``; None when there is none, which the verdict turns into a sentence."""
    try:
        return question(host)
    except Failed:
        return None


def _host(session: Session, host: HostEntry) -> HostFacts:
    facts = HostFacts(name=host.name, address=str(host.address), groups=tuple(group.value for group in host.groups))
    major = session.manifest.release.postgres
    packages = [name.format(postgres=major) for group in host.groups for name in PACKAGES.get(group, ())]
    listing = f"dpkg-query -W -f '${{Package}} ${{Version}}\\n' {' '.join(packages)} 2>/dev/null" if packages else ":"
    command = f"systemctl list-units --failed --plain --no-legend --no-pager | cut -d' ' -f1; echo ==; {listing}; true"
    try:
        failed, _, versions = session.run(host.name, command, timeout=TIMEOUT).partition("==\n")
    except Unreachable:
        return facts.model_copy(update={"fault": f"does not answer on {host.ssh.hostname}:{host.ssh.port} (SSH)"})
    except subprocess.TimeoutExpired:
        return facts.model_copy(update={"fault": f"did not answer within {TIMEOUT:.0f} s"})
    pairs = (line.split(" ", 1) for line in versions.splitlines() if " " in line)
    return facts.model_copy(update={"failed_units": tuple(failed.split()), "versions": dict(pairs)})


def _psql(session: Session, host: str, database: str, sql: str) -> str:
    port = session.manifest.ports.postgres
    return session.run(host, f"psql -U postgres -p {port} -d {database} -XAtc {shlex.quote(sql)}", timeout=TIMEOUT)


def _server(session: Session, host: HostEntry) -> ServerFacts:
    return ServerFacts(host=host.name, **json.loads(_psql(session, host.name, "postgres", SERVER_SQL)))


def _revisions(session: Session, servers: Sequence[ServerFacts]) -> dict[str, str]:
    """Product → revision, from the primary, else from any server that answers."""
    chosen = sorted(servers, key=lambda server: server.in_recovery)[:1]
    found = {}
    for server in chosen:
        for product in session.manifest.products:
            try:
                said = _psql(session, server.host, product, REVISION_SQL).strip()
            except Failed:
                continue  # no such database or table yet: no revision
            if said:
                found[product] = said
    return found


def _checkout_heads(session: Session) -> dict[str, str]:
    from db.migrate import head  # Alembic is slow to import: meanwhile the hosts answer

    return {name: head(entry.product) for name, entry in session.manifest.products.items()}


def _patroni(session: Session, found: Sequence[Member]) -> tuple[dict[str, object], dict[str, object]]:
    """Patroni's configuration and its view of the cluster, from a member that answers; empty without one."""
    for member in sorted(found, key=lambda member: not member.leads):
        try:
            return (
                json.loads(patroni(session, member.name, "/config")),
                json.loads(patroni(session, member.name, "/cluster")),
            )
        except Failed:
            continue
    return {}, {}


def _pools(session: Session, host: HostEntry) -> tuple[PoolFacts, ...]:
    port = session.manifest.ports.pgbouncer
    command = f"runuser -u postgres -- psql -h /run/pgbouncer -p {port} -U postgres -X --csv -c 'show pools' pgbouncer"
    rows = csv.DictReader(session.run(host.name, command, timeout=TIMEOUT).splitlines())
    return tuple(
        PoolFacts(
            edge=host.name,
            database=row["database"],
            user=row["user"],
            clients_active=int(row["cl_active"]),
            clients_waiting=int(row["cl_waiting"]),
            servers_active=int(row["sv_active"]),
            servers_idle=int(row["sv_idle"]),
            waited_seconds=int(row["maxwait"]),
        )
        for row in rows
        if row["database"] != "pgbouncer"
    )


def _watch(session: Session, host: HostEntry) -> WatchFacts:
    """The alerts that stand on the backup host, and how long ago it looked, by its own clock."""
    ago = f"echo $(( $(date +%s) - $(stat -c %Y {paths.ALERTS}) ))"
    said, _, seconds = session.run(host.name, f"cat {paths.ALERTS} && {ago}", timeout=TIMEOUT).rpartition("}\n")
    return WatchFacts(**json.loads(said + "}"), seconds_ago=int(seconds))


def _redis(session: Session, host: HostEntry) -> RedisFacts:
    password = session.roots.password(f"redis/{REDIS_ACCOUNT}")
    command = f"redis-cli --tls --cacert {CA} -h 127.0.0.1 -p {session.manifest.ports.redis}"
    try:
        # On standard input: an argument would show the password to everybody on the host.
        said = session.run(host.name, command, timeout=TIMEOUT, given=f"AUTH {REDIS_ACCOUNT} {password}\nINFO\n")
        info = dict(line.split(":", 1) for line in said.splitlines() if ":" in line and not line.startswith("#"))
        return RedisFacts(
            host=host.name,
            used_bytes=int(info["used_memory"]),
            limit_bytes=int(info["maxmemory"]),
            clients=int(info["connected_clients"]),
        )
    except Failed:
        return RedisFacts(host=host.name, fault="does not answer the applications' account")
