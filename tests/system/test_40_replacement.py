"""A new image replaces every host, one at a time, while a client writes."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from ops.hosts.docker import docker
from tests.system.environments import Ephemeral
from tests.system.majority import Majority
from tests.system.writer import Writer, forget_writes, written


def test_hosts_are_replaced_one_at_a_time(twin: Ephemeral) -> None:
    """PLAT-48, JEEX-32: etcd keeps its majority, the data stays, no acknowledged write is lost, and writing goes on to the end.

    The stack asks for one more package, so every host gets a new image; the last test removes it.
    """
    twin.config["keel:release"] = {"extra_packages": ["less"]}
    twin.save()
    hosts = twin.environment.manifest.hosts
    before = {host.name: docker("inspect", "-f", "{{.Id}}", twin.container(host.name)) for host in hosts}
    with twin.session() as session:
        with Majority(session) as majority, Writer(session.manifest, session.roots) as writer:
            twin.up()
            writer.await_rows(20, since=datetime.now(UTC))
        after = {host: docker("inspect", "-f", "{{.Id}} {{.Created}}", twin.container(host)) for host in before}
        assert not [host for host in before if after[host].startswith(before[host])]
        assert majority.looks > 20
        assert majority.lost == []
        found = written(session)
        forget_writes(session)
    made = sorted(datetime.fromisoformat(created.split()[1]) for created in after.values())
    for earlier, later in pairwise(made):
        between = [write for write in writer.acknowledged.values() if earlier < write.acknowledged < later]
        assert between, f"no write was acknowledged between the new hosts of {earlier} and {later}"
    assert set(writer.acknowledged) - found == set()
