"""A primary with two replicas: an `up` and a restore that were killed are brought to their end by the next one."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from ops.cluster import members
from tests.system.disaster import PHASES, kill_at, kill_in_phase
from tests.system.environments import Ephemeral, discard, prepare
from tests.system.markers import mark, marked

MOMENTS = {
    "while hosts are made": "Container db1 created",
    "in the middle of the chain": "Ready db2-ready creating",
    "while roles run": "Converge data creating",
    "while the database is migrated": "Migration jeex_idea creating",
}


@pytest.fixture(scope="module")
def trio(before: object) -> Iterator[Ephemeral]:
    """An environment like dev with a second replica, not up yet."""
    environment = prepare("dev")
    hosts = environment.config["keel:hosts"]
    hosts["db3"] = {**hosts["db2"], "address": f"{hosts['db2']['address']}3"}
    hosts["edge1"]["groups"].remove("etcd")
    environment.config["keel:postgres"]["replicas"] = 2
    environment.save()
    try:
        yield environment
    finally:
        discard(environment)


def test_a_killed_up_is_finished_by_the_next(trio: Ephemeral) -> None:
    """PLAT-36: a first run can be run again, wherever it was interrupted (one moment by chance, logged)."""
    moment = random.choice(sorted(MOMENTS))
    print(f"killed {moment}")
    process = trio.start()
    kill_at(process, process.stdout, MOMENTS[moment])
    told = trio.recover().stdout
    assert "was killed; its lock is removed" in told
    trio.up()
    trio.up("--expect-no-changes")


def test_a_moment_in_time(trio: Ephemeral) -> None:
    """PLAT-34, JEEX-29: rows before it are there, the one after is not, and both replicas stream on the new timeline.

    The command is killed in each phase, and the same command brings it to its end.
    """
    with trio.session() as session:
        mark(session, "before")
        moment = mark(session, "kept")
        mark(session, "after")
        old = {member.timeline for member in members(session)}
        command = ("restore", "--to", moment.isoformat(), "--yes")
        for phase in PHASES:
            kill_in_phase(trio, phase, *command)
        told = trio.keel(*command).stdout
        assert "was interrupted; this one takes its place" in told
        assert "everything committed after" in told and "reach:" in told
        assert marked(session) == ["before", "kept"]
        found = members(session)
        assert {member.name: member.well for member in found} == {"db1": True, "db2": True, "db3": True}
        assert len({member.timeline for member in found}) == 1
        assert {member.timeline for member in found}.isdisjoint(old)
    assert trio.keel("verify").returncode == 0
    assert trio.backups()["stanza"]["backup"][-1]["type"] == "full", "a new timeline begins with a full backup"
