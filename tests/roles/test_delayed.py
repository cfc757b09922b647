"""A replica that stays behind on purpose: what Patroni is told on its host, and what is well and what is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from environment.manifest import Manifest
from environment.types import Group
from roles.order import ROLES
from roles.postgres import patroni, restarts
from roles.postgres.patroni import Member
from roles.postgres.role import CONFIG
from roles.postgres.switchover import CHECKPOINT, HOLD, STAYS, Reach
from tests.roles.targets import manifest_of, target
from tests.unit.hosts import nothing

LEADER = Member("db1", "leader", "running", 1, None, False)
REPLICA = Member("db2", "replica", "streaming", 1, 0, False)
DELAYED = Member("db3", "replica", "in archive recovery", 1, 0, False, delay=60)


@pytest.fixture
def manifest() -> Manifest:
    """Production's three members, the third an hour behind, nobody synchronous."""
    found = manifest_of("production")
    settings = found.postgres.model_copy(update={"apply_delay": {"db3": 60}, "synchronous": False})
    return found.model_copy(update={"postgres": settings})


def configuration(manifest: Manifest, host: str) -> dict[str, Any]:
    """Its configuration on a host."""
    role = ROLES["postgres"]
    content = next(file.content for file in role.files(target(role, host, manifest)) if file.path == CONFIG)
    read: dict[str, Any] = yaml.safe_load(content)
    return read


def test_only_the_delayed_one_is_told(manifest: Manifest) -> None:
    """It applies late, and is neither promoted nor waited for nor read."""
    delayed = configuration(manifest, "db3")
    assert delayed["postgresql"]["recovery_conf"]["recovery_min_apply_delay"] == "60min"
    assert delayed["tags"] == {"nofailover": True, "nosync": True, "noloadbalance": True}
    assert (
        delayed["postgresql"]["parameters"]["hot_standby_feedback"] == "off"
    )  # it would hold vacuum back by its delay
    other = configuration(manifest, "db2")
    assert "hot_standby_feedback" not in other["postgresql"]["parameters"]
    assert "tags" not in other and "recovery_min_apply_delay" not in other["postgresql"]["recovery_conf"]


def test_it_may_read_the_archive(manifest: Manifest) -> None:
    """After a restart it does so for as long as it is behind; another replica that does is not ready."""
    assert patroni.BEHIND in patroni.ready(manifest, "db3")
    assert patroni.BEHIND not in patroni.ready(manifest, "db2")
    assert patroni.healthy([LEADER, REPLICA, DELAYED])
    assert not patroni.healthy([LEADER, replace(REPLICA, state=patroni.BEHIND), DELAYED])


def test_it_is_no_candidate(manifest: Manifest) -> None:
    """Also while it streams."""
    found = [LEADER, replace(DELAYED, state="streaming"), REPLICA]
    assert patroni.candidates(manifest, found) == ["db2"]


def test_where_all_replicas_are_delayed_the_primary_restarts_in_its_place(manifest: Manifest) -> None:
    settings = manifest.postgres.model_copy(update={"apply_delay": {"db2": 60, "db3": 60}})
    """The pooler's clients wait meanwhile."""
    waiting, asked, ran = replace(LEADER, pending_restart=True), list[tuple[str, str]](), list[tuple[str, str]]()

    def ask(host: str, path: str, data: Mapping[str, Any] | None = None) -> str:
        asked.append((host, path))
        return ""

    def look() -> list[Member]:
        return [LEADER if asked else waiting, replace(REPLICA, delay=60), DELAYED]

    def run(host: str, command: str) -> str:
        ran.append((host, command))
        return "held"

    edges = [host.name for host in manifest.carrying(Group.EDGE)]
    restarts._restart_leader(manifest.model_copy(update={"postgres": settings}), Reach(ask, run), look, "db1", nothing)
    assert asked == [("db1", "/restart")]
    holds = [("db1", CHECKPOINT), *((edge, HOLD) for edge in edges), *((edge, STAYS) for edge in edges)]
    assert sorted(ran) == sorted(holds)
