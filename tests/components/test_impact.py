"""What a preview says a change will do, to whom."""

from __future__ import annotations

from typing import Any

import pytest

from components.impact import POSTMASTER_SETTINGS, impact
from environment import program, roles
from environment.settings import Postgres
from tests.unit.stacks import config


def step(
    stage: str, stack: str = "dev", patch: dict[str, Any] | None = None, action: str = "converge"
) -> dict[str, Any]:
    """The inputs of a stage's step, with a changed stack file."""
    manifest = program.load(stack, config(stack, patch)).manifest
    return {"action": action, "stage": stage, "manifest": manifest.slice(roles.sections(stage))}


SENTENCES: list[tuple[str, dict[str, Any], str]] = [
    ("data", {"postgres.work_mem": 4}, "postgres.work_mem: 8 => 4: PostgreSQL reloads on db1, db2"),
    ("data", {"postgres.shared_buffers": 512},
     "postgres.shared_buffers: 256 => 512: PostgreSQL restarts on db1, db2 (replicas first, then a switchover, the old "
     "primary last)"),
    ("store", {"etcd.election_ms": 2000}, "etcd.election_ms: 1000 => 2000: etcd restarts on db1, db2, edge1"),
    ("store", {"repository.processes": 4},
     "repository.processes: 2 => 4: pgBackRest's server restarts on db1, db2, ops1"),
    ("edge", {"redis.maxmemory": 128}, "redis.maxmemory: 256 => 128: Redis restarts on edge1"),
    ("edge", {"pgbouncer.default_pool_size": 10},
     "pgbouncer.default_pool_size: 20 => 10: PgBouncer reloads on edge1"),
    ("edge", {"haproxy.fall": 3}, "haproxy.fall: 2 => 3: HAProxy reloads on edge1"),
    ("edge", {"products.jeex_idea.max_client_conn": 50},
     "products.jeex_idea.limits.max_client_conn: 100 => 50: PgBouncer reloads on edge1"),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "patch", "sentence"), SENTENCES, ids=[next(iter(case[1])) for case in SENTENCES])
def test_a_change_is_told_with_its_hosts(stage: str, patch: dict[str, Any], sentence: str) -> None:
    assert impact(step(stage), step(stage, patch=patch)) == [sentence]


def test_a_single_server_is_told_as_such() -> None:
    told = impact(step("data", "ci"), step("data", "ci", {"postgres.max_connections": 101}))
    assert told == ["postgres.max_connections: 100 => 101: PostgreSQL restarts on all1 (the only member)"]


def test_several_changes_are_all_told() -> None:
    told = impact(step("edge"), step("edge", patch={"redis.maxmemory": 128, "haproxy.fall": 3}))
    assert [line.split(":")[0] for line in told] == ["haproxy.fall", "redis.maxmemory"]


def test_a_new_schedule_touches_no_service() -> None:
    """PLAT-45: cron reads its files by itself."""
    assert (
        impact(
            step("backup"), step("backup", patch={"schedule.full": "0 3 * * *", "products.ruleiq.max_client_conn": 50})
        )
        == []
    )


def test_no_change_is_told_as_nothing() -> None:
    assert impact(step("data"), step("data")) == []


def test_numbers_from_the_state_are_the_same() -> None:
    """Pulumi hands every number back as a float."""
    old = step("data")
    old["manifest"]["postgres"]["work_mem"] = 8.0
    assert impact(old, step("data")) == []


def test_other_steps_are_silent() -> None:
    assert impact(step("data", action="drain"), step("data", patch={"postgres.work_mem": 4}, action="drain")) == []


def test_settings_that_need_a_restart_exist() -> None:
    assert Postgres.model_fields.keys() >= POSTMASTER_SETTINGS
