"""A single instance gets a replica, in front of it in the alphabet, and gives it away again, while a client writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from ops.cluster.patroni import members
from ops.hosts.docker import docker
from tests.system.disaster import kill_at
from tests.system.environments import Ephemeral
from tests.system.writer import Writer, forget_writes, written

HOLD = 10
"""Seconds for which a client waits at most: a synchronous replica that goes is waited for until Patroni has seen it."""


@contextmanager
def writing(ephemeral: Ephemeral) -> Iterator[None]:
    """A client writes through the pooler meanwhile and a little longer: it meets no error, and loses nothing."""
    with ephemeral.session() as session, Writer(session.manifest, session.roots) as writer:
        yield
        writer.await_rows(20, since=datetime.now(UTC))
    with ephemeral.session() as session:
        found = written(session)
        forget_writes(session)
    assert writer.errors == []
    assert set(writer.acknowledged) <= found
    assert writer.longest_pause() < HOLD


@pytest.fixture(scope="module")
def replica(single: Ephemeral) -> dict[str, object]:
    """The line of the host that joins."""
    return {"address": single.config["keel:hosts"]["all1"]["address"].replace(".11", ".12"), "groups": ["postgres"]}


def states(ephemeral: Ephemeral) -> dict[str, tuple[bool, bool]]:
    """Host → whether its server is well, and leads."""
    with ephemeral.session() as session:
        return {member.name: (member.well, member.leads) for member in members(session)}


def test_a_replica_joins_by_one_line(single: Ephemeral, replica: dict[str, object]) -> None:
    """ADA-28, PLAT-37: nothing else is written, no other host is replaced, and no client notices."""
    before = docker("inspect", "-f", "{{.Id}}", single.container("all1"))
    single.config["keel:hosts"]["aaa1"] = replica
    single.save()
    with writing(single):
        single.up()
    assert states(single) == {"all1": (True, True), "aaa1": (True, False)}
    assert docker("inspect", "-f", "{{.Id}}", single.container("all1")) == before
    single.up("--expect-no-changes")


def test_what_it_does_not_take_is_refused_before_anything_changes(single: Ephemeral) -> None:
    """X-01, X-23: in a preview as in an update, with what to do instead."""
    single.config |= {"keel:release": {"source": "pgdg", "postgres": 17}, "keel:ports": {"etcd_peer": 2480}}
    single.save()
    for refused in (single.pulumi("preview", check=False), single.up(check=False)):
        said = refused.stdout + refused.stderr
        assert refused.returncode != 0
        assert "keel:release.postgres: 18 => 17" in said and "make a second environment with 17" in said
        assert "keel:ports.etcd_peer: 2380 => 2480" in said
    del single.config["keel:release"], single.config["keel:ports"]
    single.save()
    single.up("--expect-no-changes")


def test_an_update_that_was_killed_half_way_and_then_the_old_file(
    single: Ephemeral, replica: dict[str, object]
) -> None:
    """PLAT-36: Pulumi holds the old file for carried out, while the replica is out of the cluster: it comes back."""
    del single.config["keel:hosts"]["aaa1"]
    single.save()
    process = single.start()
    kill_at(process, process.stdout, "Converge base updating")
    assert states(single) == {"all1": (True, True)}
    single.config["keel:hosts"]["aaa1"] = replica
    single.save()
    assert "a stopped container is started: aaa1" in single.recover().stdout
    single.up()
    assert states(single) == {"all1": (True, True), "aaa1": (True, False)}


def test_a_replica_leaves_in_one_update(single: Ephemeral) -> None:
    """PLAT-37: it is taken out first, the rest is verified as if it were gone, and then it is."""
    del single.config["keel:hosts"]["aaa1"]
    single.save()
    with writing(single):
        said = single.up().stdout
    assert said.index("Verification verification updated") < said.index("Container aaa1 deleted")
    assert states(single) == {"all1": (True, True)}
    assert docker("ps", "-aq", "--filter", f"name={single.container('aaa1')}") == ""
    with single.session() as session, session.superuser() as superuser, superuser.connect("postgres") as connection:
        assert connection.execute("select slot_name from pg_replication_slots").fetchall() == []
    single.up("--expect-no-changes")
