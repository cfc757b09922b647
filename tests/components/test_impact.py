"""What a preview says a change will do, to whom."""

from __future__ import annotations

from typing import Any

import pytest

from components.impact import impact
from environment import program, roles
from ops.steps import converge
from tests.unit.stacks import ROOTS, config


def step(stage: str, stack: str = "dev", patch: dict[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    """The inputs of a stage's step, with a changed stack file."""
    manifest = program.load(stack, {**config(stack, patch), **ROOTS}).manifest
    return {"action": "converge", "stage": stage, "manifest": manifest.slice(roles.sections(stage)), **inputs}


def told(olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    """What is announced, by the roles as they are."""
    return impact(olds, news, converge.foresee)


def never(_olds: dict[str, Any], _news: dict[str, Any]) -> list[str]:
    """Nothing is to be foreseen: no process starts."""
    raise AssertionError


SENTENCES: list[tuple[str, dict[str, Any], str]] = [
    ("data", {"postgres.work_mem": 4}, "postgres.work_mem: 8 => 4: PostgreSQL reloads on db1, db2"),
    ("data", {"postgres.shared_buffers": 512},
     "postgres.shared_buffers: 256 => 512: PostgreSQL restarts on db1, db2 (replicas first, then a switchover, the old "
     "primary last)"),
    ("data", {"patroni.ttl": 30},
     "patroni.ttl: 20 => 30: Patroni reloads on db1, db2 (a lost primary host costs at most 30 s of lease and 8 s; the primary "
     "gives up after 9 s without etcd and a replica)"),
    ("store", {"etcd.election_ms": 2000},
     "etcd.election_ms: 1000 => 2000: etcd restarts on db1, db2, edge1 (one host at a time)"),
    ("store", {"repository.processes": 4},
     "repository.processes: 2 => 4: pgBackRest's server restarts on db1, db2"),
    ("store", {"repository.retention_days": 14},
     "repository.retention_days: 30 => 14: nothing reloads or restarts"),
    ("edge", {"redis.maxmemory": 128}, "redis.maxmemory: 256 => 128: Redis restarts on edge1"),
    ("edge", {"pgbouncer.default_pool_size": 10},
     "pgbouncer.default_pool_size: 20 => 10: PgBouncer reloads on edge1"),
    ("edge", {"haproxy.fall": 3}, "haproxy.fall: 2 => 3: HAProxy reloads on edge1"),
    ("edge", {"products.jeex_idea.max_client_conn": 50},
     "products.jeex_idea.limits.max_client_conn: 100 => 50: PgBouncer reloads on edge1"),
    ("edge", {"products.ruleiq.revision": "001"},
     "products.ruleiq.limits.revision: absent => 001: nothing reloads or restarts"),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "patch", "sentence"), SENTENCES, ids=[next(iter(case[1])) for case in SENTENCES])
def test_a_change_is_told_with_its_hosts(stage: str, patch: dict[str, Any], sentence: str) -> None:
    assert told(step(stage), step(stage, patch=patch)) == [sentence]


def test_a_single_server_restarts_in_its_place() -> None:
    found = told(step("data", "ci"), step("data", "ci", {"postgres.max_connections": 101}))
    assert found == ["postgres.max_connections: 100 => 101: PostgreSQL restarts on all1"]


def test_several_changes_are_listed_before_what_they_do() -> None:
    """Which of them does what is not said: services are compared before and after all of them."""
    assert told(step("edge"), step("edge", patch={"redis.maxmemory": 128, "haproxy.fall": 3})) == [
        "edge: haproxy.fall: 2 => 3",
        "edge: redis.maxmemory: 256 => 128",
        "edge: HAProxy reloads on edge1",
        "edge: Redis restarts on edge1",
    ]


def test_a_new_schedule_touches_no_service() -> None:
    """PLAT-45: cron reads its files by itself."""
    new = step("backup", patch={"schedule.full": "0 3 * * *"})
    assert told(step("backup"), new) == ["schedule.full: 0 2 * * * => 0 3 * * *: nothing reloads or restarts"]


def test_no_change_is_told_as_nothing() -> None:
    assert impact(step("data"), step("data"), never) == []


def test_numbers_from_the_state_are_the_same() -> None:
    """Pulumi hands every number back as a float."""
    old = step("data")
    old["manifest"]["postgres"]["work_mem"] = 8.0
    assert impact(old, step("data"), never) == []


def test_other_steps_are_silent() -> None:
    assert (
        impact(step("data", action="drain"), step("data", patch={"postgres.work_mem": 4}, action="drain"), never) == []
    )


def test_a_host_is_named_with_what_differs() -> None:
    new = step("base", patch={"hosts.db1.memory": 4096})
    assert impact(step("base"), new, lambda *_: ["one sentence"]) == ["hosts.db1.memory: 2048 => 4096: one sentence"]


def test_what_follows_from_a_hosts_memory_is_announced() -> None:
    """PLAT-03, X-19: a larger host restarts its server with more, and no one has to know that to see it."""
    lines = told(step("data"), step("data", patch={"hosts.db1.memory": 4096, "hosts.db2.memory": 4096}))
    assert {
        "data: hosts.db1.memory: 2048 => 4096",
        "data: postgres.shared_buffers: 256 => 1024",
        "data: postgres.parameters.max_wal_size: 1024MB => 2048MB",
        "data: PostgreSQL restarts on db1, db2 (replicas first, then a switchover, the old primary last)",
    } <= set(lines)


def test_a_container_that_is_made_anew_is_left_out() -> None:
    """A preview does not know its identity yet. A machine is not made: what runs on it is touched."""
    found: dict[str, Any] = {}

    def foresee(_olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
        found[news["manifest"]["identity"]["name"]] = news["made"]
        return []

    for stack in ("dev", "staging"):
        old = step("data", stack, identities={"db1": "one", "db2": "two"})
        impact(old, step("data", stack, {"postgres.work_mem": 4}, identities={"db1": "one", "db2": None}), foresee)
    assert found == {"dev": ["db2"], "staging": []}


def test_keys_are_told_without_their_values() -> None:
    old, new = (step("store", credentials=mark) for mark in ("the old mark", "the new mark"))
    assert impact(old, new, lambda *_: ["sentence"]) == ["s3_key, s3_secret: (secret) => (secret): sentence"]


def test_a_certificate_is_not_printed_whole() -> None:
    old = step("store")
    new = {
        **old,
        "manifest": {**old["manifest"], "repository": {**old["manifest"]["repository"], "second": "A" * 99 + "\n"}},
    }
    (line,) = impact(old, new, lambda *_: ["sentence"])
    assert line == f"repository.second: absent => {'A' * 60}…: sentence"


def test_changed_code_is_told_as_such() -> None:
    """What an earlier release would have rendered is not known; a look at the hosts tells what differs."""
    old, new = (step("edge", roles={"haproxy": digest, "redis": "same"}) for digest in ("old", "new"))
    assert impact(old, new, never) == ["edge: code changed (haproxy): `./keel drift` shows what it will do"]


@pytest.mark.parametrize(
    ("stack", "host", "ends"),
    [
        ("dev", "db1", " (if it is the primary, a switchover comes first)"),
        ("dev", "edge1", " (the only edge: no client of the pooler gets through meanwhile)"),
        ("dev", "ops1", ""),
        ("ci", "all1", " (the only PostgreSQL server: no database answers meanwhile)"),
    ],
)
@pytest.mark.parametrize("changed", ["image", "specification", None])
def test_a_replacement_is_announced(stack: str, host: str, ends: str, changed: str | None) -> None:
    """Pulumi itself shows only that a container is replaced, not what that does to the service."""
    old = step("base", stack, action="drain", host=host, image="one", specification={"memory": 1})
    new = old | ({changed: "two"} if changed else {})
    line = f"{host}: its container is replaced; every service on it stops and starts again{ends}"
    assert impact(old, new, never) == ([line] if changed else [])
    assert impact({}, new, never) == [], "a first creation replaces nothing"


@pytest.mark.parametrize(
    ("olds", "container", "announced"),
    [
        ({"container": "one"}, "one", True),  # of an earlier release
        ({"container": "one", "aliases": ["edge.keel-dev"]}, "one", False),
        ({"container": "one"}, None, False),  # it is replaced, and has its names from the beginning
        ({}, None, False),
    ],
)
def test_another_name_of_a_running_container_is_announced(
    olds: dict[str, Any], container: str | None, announced: bool
) -> None:
    """Docker gives names only to what joins its network: sessions through published ports end."""
    new = {"action": "ready", "host": "edge1", "container": container, "aliases": ["edge.keel-dev"]}
    line = (
        "edge1: containers will find it as edge.keel-dev; for that it leaves its network for less than a second: sessions "
        "through this machine's published ports end once, others pause"
    )
    assert impact(olds, new, never) == ([line] if announced else [])
