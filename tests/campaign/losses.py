"""A host or a server is lost while a client writes through the pooler: how long writes stop, where each second goes, and how
what was lost comes back. No acknowledged row may be missing.

Each scenario is one round: it takes an environment in which all is well, and leaves one.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from environment.types import Preset
from environment.waiting import until
from ops.backup import gaps
from ops.hosts.docker import docker
from ops.hosts.session import Session
from roles import paths
from tests.campaign.seconds import Lease, commits, edge_of, kill, leads_etcd, pause, since, start, superuser, where
from tests.system.environments import Ephemeral
from tests.system.test_36_failover import IN_DATA, await_whole, leader_and_replica, unheard, while_a_client_writes
from tests.system.test_36_without_etcd import status
from tests.system.writer import complete_segments

HOST = {Preset.FAST: 28.0, Preset.BALANCED: 38.0}
"""Seconds that writes may stop where the primary's host is lost."""
CRASH = 4.0
"""Seconds that writes may stop where PostgreSQL is killed."""
STALL = 15.0
"""Seconds that commits may wait for a synchronous replica that is gone."""
REWOUND = 60.0
"""Seconds from the start of the old primary's host until it streams, with GIGABYTE that was written before."""
ELSEWHERE = 4.0
"""Seconds that writes may stop where a host is lost that they do not need."""
FENCED = 18.0
"""Seconds that writes may stop where an operator ends the lease: less than what the lease alone would take."""

Figures = dict[str, Any]


@contextmanager
def well(environment: Ephemeral, preset: Preset) -> Iterator[Session]:
    """A session with the environment, brought up with ``preset`` where it is not, every member well."""
    wanted = {"ha": preset.value}
    if environment.config.get("keel:patroni") != wanted:
        environment.config["keel:patroni"] = wanted
        environment.save()
        environment.up()
    with environment.session() as session:
        await_whole(session)
        yield session


def host(environment: Ephemeral, chance: random.Random, *, preset: Preset) -> Figures:
    """JEEX-31, JEEX-32, PLAT-37: the primary's host is killed, by chance with etcd's leader; its lease has to end, then the replica
    leads."""
    with well(environment, preset) as session:
        leader, replica = leader_and_replica(session)
        figures: Figures = {"led_etcd": leads_etcd(session, leader.name, wanted=chance.random() < 0.5)}
        with (
            while_a_client_writes(environment, session, within=HOST[preset]) as writer,
            Lease(session, replica) as lease,
        ):
            killed = kill(environment, leader.name)
            writer.await_rows(20, since=killed)
            figures |= {"load": os.getloadavg()[0], "pause": pause(writer), **where(session, writer, lease, replica)}
            print(figures, flush=True)
            figures["streams_again"] = start(environment, session, leader.name)
    return figures


def crash(environment: Ephemeral, _: random.Random, *, preset: Preset) -> Figures:
    """JEEX-31, PLAT-37: the postmaster is killed; Patroni on its host starts it again, and no lease has to end."""
    with well(environment, preset) as session:
        leader, _replica = leader_and_replica(session)
        with while_a_client_writes(environment, session, within=CRASH) as writer:
            session.run(leader.name, f"{IN_DATA} && kill -9 $(head -1 postmaster.pid)")
            writer.await_rows(20, since=datetime.now(UTC))
            figures: Figures = {"load": os.getloadavg()[0], "pause": pause(writer)}
            print(figures, flush=True)
        figures["leads"] = "the same" if session.leader() == leader else "the other"
    return figures


def fenced(environment: Ephemeral, _: random.Random) -> Figures:
    """JEEX-31: an operator who knows that the host is dead ends its lease."""
    with well(environment, Preset.FAST) as session:
        leader, _replica = leader_and_replica(session)
        with while_a_client_writes(environment, session, within=FENCED) as writer:
            killed = kill(environment, leader.name)
            began = time.monotonic()
            environment.keel("failover", "--fenced", leader.name, "--yes")
            figures = {"load": os.getloadavg()[0], "command": since(began)}
            writer.await_rows(20, since=killed)
            figures["pause"] = pause(writer)
            print(figures, flush=True)
            figures["streams_again"] = start(environment, session, leader.name)
    return figures


def replica(environment: Ephemeral, _: random.Random, *, loss: str, back: str) -> Figures:
    """PLAT-38, JEEX-31: the only synchronous replica's host is killed, or silent; commits wait for a while, then go on alone."""
    with well(environment, Preset.FAST) as session:
        leader, lost = leader_and_replica(session)
        with while_a_client_writes(environment, session, within=STALL) as writer:
            docker(loss, environment.container(lost))
            try:
                # What was on its way when it stopped may still be acknowledged.
                writer.await_rows(20, since=datetime.now(UTC) + timedelta(seconds=1))
                figures: Figures = {"load": os.getloadavg()[0], "pause": pause(writer)}
                print(figures, flush=True)
                verdict = status(environment)
            finally:
                docker(back, environment.container(lost))
            assert not verdict["protected"] and session.leader() == leader, verdict
            began = time.monotonic()
            until(lambda: status(environment)["protected"], 60, "status to say protected")
            figures |= {"status": verdict["reason"], "protected_again": since(began)}
    return figures


def rewind(environment: Ephemeral, _: random.Random) -> Figures:
    """PLAT-37: the old primary, with a gigabyte and WAL that nobody received, is rewound and streams."""
    with well(environment, Preset.FAST) as session:
        leader, replica = leader_and_replica(session)
        mebibytes = fill(session)
        with while_a_client_writes(environment, session, within=HOST[Preset.FAST]) as writer:
            with unheard(environment, replica, leader):
                session.run(leader.name, f"psql -U postgres -v ON_ERROR_STOP=1 -Xqc {DIVERGE!r}")
                killed = kill(environment, leader.name)
            writer.await_rows(20, since=killed)
            figures = {"load": os.getloadavg()[0], "mebibytes": mebibytes, "pause": pause(writer)}
            figures["streams_again"] = start(environment, session, leader.name)
            print(figures, flush=True)
        journal = session.run(leader.name, "journalctl -b -u patroni.service -o cat --no-pager")
        superuser(session, "drop table public.campaign_filled")
    assert "running pg_rewind from" in journal, journal[-3000:]
    assert figures["streams_again"] <= REWOUND, figures
    return figures


GIGABYTE = "create table if not exists public.campaign_filled as select n, repeat(md5(n::text), 8) as words from generate_series(1, 3600000) n"
# Less than maximum_lag_on_failover, and not waiting for the replica.
DIVERGE = "set synchronous_commit to local; update public.campaign_filled set words = 1 where n <= 500"


def fill(session: Session) -> int:
    """Write a gigabyte, and wait until the replica has it; MiB of all databases."""
    superuser(session, GIGABYTE)
    # Else autovacuum writes on while the replica hears nothing, more than maximum_lag_on_failover.
    superuser(session, "vacuum (freeze, analyze) public.campaign_filled")
    until(
        lambda: superuser(session, "select bool_and(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) < 1000000) from pg_stat_replication"),
        300, "the replica to have what was written",
    )  # fmt: skip
    return int(superuser(session, "select (sum(pg_database_size(oid)) / 1048576)::int from pg_database"))


def edge(environment: Ephemeral, chance: random.Random) -> Figures:
    """PLAT-42: the edge's host is killed: its clients wait. The servers go on, and none takes over."""
    with well(environment, Preset.FAST) as session:
        lost = edge_of(session)
        leader, _replica = leader_and_replica(session)
        with while_a_client_writes(environment, session, within=600) as writer:
            killed = kill(environment, lost)
            slowest = max(commits(session, 20))
            assert slowest < ELSEWHERE and session.leader() == leader
            assert not [write for write in writer.acknowledged.values() if write.began > killed]
            verdict = status(environment)
            assert verdict["protected"] and any(lost in problem for problem in verdict["problems"]), verdict
            started = datetime.now(UTC)
            docker("start", environment.container(lost))
            writer.await_rows(20, since=datetime.now(UTC))
            first = next(write for write in writer.acknowledged.values() if write.began > killed)
        assert session.leader() == leader
    return {
        "load": os.getloadavg()[0],
        "slowest_commit_past_it": slowest,
        "status": verdict["problems"],
        "writes_again": round((first.acknowledged - started).total_seconds(), 1),
    }


def backup_host(environment: Ephemeral, _: random.Random) -> Figures:
    """PLAT-34, ADA-25: the backup host is killed: nobody waits, WAL is kept, and is archived without a gap when it is back."""
    with well(environment, Preset.FAST) as session:
        lost = session.manifest.repository_host.name
        before = gaps.unreachable(session)
        leader, _replica = leader_and_replica(session)
        with while_a_client_writes(environment, session, within=ELSEWHERE) as writer:
            kill(environment, lost)
            complete_segments(session, 5)
            writer.await_rows(100, since=datetime.now(UTC))
            waiting = int(superuser(session, WAITING))
            assert waiting >= 5, f"{waiting} segments wait"
            verdict = status(environment)
            assert any(lost in problem for problem in verdict["problems"]), verdict
            began = time.monotonic()
            environment.recover()  # so begins `make up`
            until(lambda: superuser(session, WAITING) == "0", 300, "the segments to be archived")
            archived = since(began)
        assert session.leader() == leader
        session.run(lost, paths.WATCH_ARCHIVE)
        assert gaps.unreachable(session) == before
    return {
        "load": os.getloadavg()[0],
        "waiting": waiting,
        "status": verdict["problems"],
        "archived": archived,
        "pause": pause(writer),
    }


WAITING = "select count(*) from pg_ls_archive_statusdir() where name like '%.ready'"

SCENARIOS: dict[str, Callable[[Ephemeral, random.Random], Figures]] = {
    "host_fast": partial(host, preset=Preset.FAST),
    "crash_fast": partial(crash, preset=Preset.FAST),
    "fenced": fenced,
    "replica_killed": partial(replica, loss="kill", back="start"),
    "replica_silent": partial(replica, loss="pause", back="unpause"),
    "rewind": rewind,
    "edge": edge,
    "backup_host": backup_host,
    "host_balanced": partial(host, preset=Preset.BALANCED),
    "crash_balanced": partial(crash, preset=Preset.BALANCED),
}
