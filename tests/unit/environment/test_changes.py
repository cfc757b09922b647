"""What a running environment does not take, and who leaves it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from environment import program
from environment.changes import leaving, refused
from environment.manifest import Manifest
from environment.types import Group
from tests.unit.stacks import REMOVED, ROOTS, config

NEW = {"address": "10.88.0.13", "groups": ["postgres"]}


def dev(patch: dict[str, Any] | None = None) -> Manifest:
    """Dev's manifest, changed."""
    return program.load("dev", {**config("dev", patch), **ROOTS}).manifest


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"release": {"source": "pgdg", "postgres": 17}}, "keel:release.postgres: 18 => 17.*Keep 18 here. Instead: make a second"),
        ({"ports": {"etcd_peer": 2480}}, "keel:ports.etcd_peer: 2380 => 2480.*Keep 2380"),
        ({"ports": {"etcd_client": 2479}}, "keel:ports.etcd_client: 2379 => 2479"),
        (
            {
                "hosts.db1": REMOVED, "hosts.db2": REMOVED, "hosts.a": {"address": "10.88.0.41", "groups": ["postgres", "etcd"]},
                "hosts.b": {"address": "10.88.0.42", "groups": ["postgres", "etcd"]},
            },
            "none of db1, db2 keeps the group 'postgres'.*Let the new hosts join first",
        ),
        (
            {
                "hosts.db1.groups": ["postgres"], "hosts.db2.groups": ["postgres"], "hosts.edge1.groups": ["edge", "redis"],
                "hosts.ops1.groups": ["backup", "etcd"],
            },
            "none of db1, db2, edge1 keeps the group 'etcd'",
        ),
        ({"hosts.db1.address": "10.88.0.41", "hosts.db2.address": "10.88.0.42"}, "db1, db2 get.* another address.*one address"),
        ({"network.cidr": "10.88.0.0/23"}, "network.cidr: 10.88.0.0/24 => 10.88.0.0/23: .*every host.*new environment"),
        ({"network.containers": "10.88.0.192/26"}, "containers: 10.88.0.128/25 => 10.88.0.192/26: .*or write `off`"),
        ({"hosts.ops1.address": "10.88.0.131"}, "hosts: ops1 would have an address of 10.88.0.128/25.*or write `off`"),
        ({"hosts.db1.address": "10.88.0.41", "hosts.ops1.cpus": 1.5}, "db1 get.* another address while ops1 change"),
    ],
)  # fmt: skip
def test_what_would_stop_a_running_environment_is_refused(patch: dict[str, Any], words: str) -> None:
    """X-01, X-23, PLAT-48: each with the setting, from what to what, and what to do instead."""
    (sentence,) = refused(dev(), dev(patch))
    assert re.search(words, sentence), sentence


@pytest.mark.parametrize(
    "patch",
    [
        {},
        {"haproxy": {"check_interval_ms": 900}},
        {"network.containers": "10.88.0.128/25"},
        {"network.containers": "off", "hosts.ops1.address": "10.88.0.131"},
        {"hosts.db3": NEW, "postgres.replicas": 2},
        {"hosts.db2": REMOVED, "hosts.ops1.groups": ["backup", "monitor", "etcd"], "postgres.replicas": 0},
        {"hosts.db1.address": "10.88.0.41"},
        {"hosts.db1.address": "10.88.0.41", "hosts.ops1.memory": 512},
        {"hosts.ops1.address": "10.88.0.41", "hosts.db1.cpus": 1.5},
        {"hosts.edge1.groups": ["edge", "redis"], "hosts.ops1.groups": ["backup", "monitor", "etcd"]},
    ],
)
def test_hosts_come_and_go(patch: dict[str, Any]) -> None:
    """PLAT-37, ADA-28: what others can go on without, or admit before it starts, is no reason to refuse."""
    assert refused(dev(), dev(patch)) == []


def test_who_leaves_and_what() -> None:
    """A host leaves with all it carries; one that stays leaves the groups that it gives up."""
    new = dev({"hosts.db2": REMOVED, "postgres.replicas": 0, "hosts.edge1.groups": ["edge", "redis"]})
    assert leaving(dev(), new) == {"db2": (Group.ETCD, Group.POSTGRES), "edge1": (Group.ETCD,)}
    assert leaving(new, dev()) == {}
