"""A replica that stays behind on purpose: what Patroni is told on its host, and what is well and what is chosen."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from environment.manifest import Manifest
from roles.order import ROLES
from roles.postgres import cluster
from roles.postgres.role import CONFIG
from tests.roles.targets import manifest_of, target

LEADER = {"name": "db1", "role": "leader", "state": "running"}
REPLICA = {"name": "db2", "role": "replica", "state": "streaming"}
DELAYED = {"name": "db3", "role": "replica", "state": "in archive recovery"}


@pytest.fixture
def manifest() -> Manifest:
    """Production's three members, the third an hour behind, nobody synchronous."""
    found = manifest_of("production")
    settings = found.postgres.model_copy(update={"apply_delay": {"db3": 60}, "synchronous": False})
    return found.model_copy(update={"postgres": settings})


def patroni(manifest: Manifest, host: str) -> dict[str, Any]:
    """Its configuration on a host."""
    role = ROLES["postgres"]
    content = next(file.content for file in role.files(target(role, host, manifest)) if file.path == CONFIG)
    read: dict[str, Any] = yaml.safe_load(content)
    return read


def test_only_the_delayed_one_is_told(manifest: Manifest) -> None:
    """It applies late, and is neither promoted nor waited for nor read."""
    delayed = patroni(manifest, "db3")
    assert delayed["postgresql"]["recovery_conf"]["recovery_min_apply_delay"] == "60min"
    assert delayed["tags"] == {"nofailover": True, "nosync": True, "noloadbalance": True}
    other = patroni(manifest, "db2")
    assert "tags" not in other and "recovery_min_apply_delay" not in other["postgresql"]["recovery_conf"]


def test_it_may_read_the_archive(manifest: Manifest) -> None:
    """After a restart it does so for as long as it is behind; another replica that does is not ready."""
    role = ROLES["postgres"]
    assert cluster.BEHIND in cluster.member_is_ready(target(role, "db3", manifest))
    assert cluster.BEHIND not in cluster.member_is_ready(target(role, "db2", manifest))
    seen = target(role, "db1", manifest)
    assert cluster._healthy(seen, [LEADER, REPLICA, DELAYED])
    assert not cluster._healthy(seen, [LEADER, {**REPLICA, "state": cluster.BEHIND}, DELAYED])


def test_it_is_no_candidate(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while it streams; where all replicas are delayed, the primary restarts in its place."""
    found = [LEADER, {**DELAYED, "state": "streaming"}, REPLICA]

    def once(_target: object, condition: Any, *_: object) -> list[dict[str, str]]:
        assert condition(found)
        return found

    monkeypatch.setattr(cluster, "_await", once)
    role = ROLES["postgres"]
    assert cluster._candidate(target(role, "db1", manifest)) == "db2"
    all_late = manifest.postgres.model_copy(update={"apply_delay": {"db2": 60, "db3": 60}})
    late = manifest.model_copy(update={"postgres": all_late})
    assert cluster._candidate(target(role, "db1", late)) is None
