"""Where the seconds of a lost host go, and what a campaign does to hosts."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

from environment.types import Group
from environment.waiting import until
from ops.cluster.fenced import key
from ops.hosts.docker import docker
from ops.hosts.session import Session
from roles.etcd.etcdctl import etcdctl
from tests.system.background import Background
from tests.system.environments import Ephemeral
from tests.system.test_36_failover import await_whole
from tests.system.writer import Write, Writer


class Lease(Background):
    """etcd's own account of the lease, from the member on ``host``: ``ended`` and ``taken``, None before."""

    def __init__(self, session: Session, host: str) -> None:
        self.ended: datetime | None = None
        self.taken: datetime | None = None
        watch = etcdctl(session.manifest, [session.manifest.host(host)], f"watch {key(session, 'leader')}")
        self._process = subprocess.Popen(session.ssh(host, watch), stdout=subprocess.PIPE, text=True)
        super().__init__()

    def _work(self) -> None:
        for line in self._process.stdout or ():
            if line.strip() == "DELETE":
                self.ended = datetime.now(UTC)
            elif line.strip() == "PUT" and self.ended:
                self.taken = datetime.now(UTC)
                break
        self._process.kill()
        self._process.wait()


def leads_etcd(session: Session, host: str, wanted: bool) -> bool:
    """Whether the host's member leads etcd, after it was given the lead where that is ``wanted``. With it dead, the next leader lets
    every lease begin anew."""
    member = etcdctl(session.manifest, [session.manifest.host(host)], "endpoint status -w json")
    status = json.loads(session.run(host, member))[0]["Status"]
    own, leader = status["header"]["member_id"], status["leader"]
    if wanted and own != leader:
        session.run(host, etcdctl(session.manifest, session.manifest.carrying(Group.ETCD), f"move-leader {own:x}"))
    return bool(wanted or own == leader)


def edge_of(session: Session) -> str:
    """The only edge."""
    (edge,) = [host.name for host in session.manifest.carrying(Group.EDGE)]
    return edge


def kill(environment: Ephemeral, host: str) -> datetime:
    """A host is gone as if its power was: when it was."""
    docker("kill", environment.container(host))
    return datetime.now(UTC)


def start(environment: Ephemeral, session: Session, host: str) -> float:
    """Start a host again and return, once every member of the cluster is well, the seconds that took."""
    began = time.monotonic()
    docker("start", environment.container(host))
    await_whole(session)
    return since(began)


def since(began: float) -> float:
    """Seconds of the monotonic clock."""
    return round(time.monotonic() - began, 1)


def longest(writer: Writer) -> tuple[Write, Write]:
    """The two acknowledged rows with the longest time between them."""
    return max(pairwise(writer.acknowledged.values()), key=lambda two: two[1].acknowledged - two[0].acknowledged)


def pause(writer: Writer) -> float:
    """Seconds between those two."""
    last, first = longest(writer)
    return round((first.acknowledged - last.acknowledged).total_seconds(), 1)


def where(session: Session, writer: Writer, lease: Lease, candidate: str) -> dict[str, float]:
    """Seconds of the longest pause, one after the other: until the lease ended, another server took it, the proxy had found that it
    leads, and a client's row was acknowledged."""
    last, first = longest(writer)
    until(lambda: lease.taken, 5, "etcd to tell who took the lease")
    assert lease.ended and lease.taken
    times = [
        last.acknowledged,
        lease.ended,
        lease.taken,
        _found(session, candidate, last.acknowledged),
        first.acknowledged,
    ]
    parts = [round((later - earlier).total_seconds(), 1) for earlier, later in pairwise(times)]
    return dict(zip(("lease", "election", "promotion_and_proxy", "pooler_and_client"), parts, strict=True))


def _found(session: Session, candidate: str, after: datetime) -> datetime:
    """When HAProxy said that this server leads."""
    journal = f"journalctl -u haproxy --since=@{after.timestamp():.0f} -o short-unix --no-pager"
    found = re.search(
        rf"^(\d+\.\d+) .*Server primary/{candidate} is UP", session.run(edge_of(session), journal), re.MULTILINE
    )
    assert found, f"HAProxy did not find {candidate}"
    return datetime.fromtimestamp(float(found[1]), UTC)


def superuser(session: Session, statement: str) -> str:
    """What psql prints, on the primary's host. Raises as Session.run does."""
    return session.run(
        session.leader().name, "psql -U postgres -v ON_ERROR_STOP=1 -XAtq", timeout=600, given=statement
    ).strip()


def commits(session: Session, number: int) -> Iterator[float]:
    """Seconds of each of so many commits, one after the other, on the primary's own socket."""
    with session.superuser() as local, local.connect("postgres") as connection:
        connection.autocommit = True
        for _ in range(number):
            began = time.monotonic()
            connection.execute("select pg_logical_emit_message(true, 'keel', 'campaign')")
            yield since(began)
            time.sleep(0.1)
