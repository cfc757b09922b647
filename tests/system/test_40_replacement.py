"""A new image replaces every host, one at a time, while a client writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ops.cluster import etcd_health
from ops.docker import docker
from ops.session import Session
from tests.system.environments import Ephemeral
from tests.system.writer import Writer, forget_writes, written


@contextmanager
def watched_majority(session: Session) -> Iterator[list[dict[str, bool]]]:
    """Look at etcd all the time; yields the looks at which it had no majority."""
    lost: list[dict[str, bool]] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            health = etcd_health(session)
            if sum(health.values()) <= len(health) // 2:
                lost.append(health)
            stop.wait(0.5)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        stop.set()
        thread.join(timeout=60)


def test_hosts_are_replaced_one_at_a_time(dev: Ephemeral) -> None:
    """PLAT-48, JEEX-32: etcd keeps its majority, the data stays, and no acknowledged write is lost.

    The stack asks for one more package, so every host gets a new image; the last test removes it.
    """
    dev.config["keel:release"] = {"extra_packages": ["less"]}
    dev.save()
    before = {
        host.name: docker("inspect", "-f", "{{.Id}}", dev.container(host.name))
        for host in dev.environment.manifest.hosts
    }
    with dev.session() as session:
        with watched_majority(session) as lost, Writer(session.manifest, session.roots) as writer:
            dev.up()
        after = {host: docker("inspect", "-f", "{{.Id}}", dev.container(host)) for host in before}
        assert not [host for host in before if before[host] == after[host]]
        assert lost == []
        found = written(session)
        forget_writes(session)
        assert len(writer.acknowledged) > 20
        assert set(writer.acknowledged) - found == set()
