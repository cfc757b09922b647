"""What follows from hosts and connections: the documents' numbers, what never may be exceeded, and that it is the same each time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import floor
from typing import Any

import pytest

from environment import program, server_parameters, sizing
from environment.load import InvalidStack, parse
from environment.manifest import Manifest
from environment.rules import check
from environment.settings import Settings
from environment.sizing import Origin, Sized, sized
from environment.types import Group
from roles.postgres.parameters import parameters
from tests.roles.targets import manifest_of
from tests.unit.stacks import ROOTS, config

MAJORS = (15, 17, 18)


def of(stack: str = "dev", patch: dict[str, Any] | None = None) -> Sized:
    return sized(parse(config(stack, patch), "test"))


def texts(found: Sized) -> dict[str, str]:
    return {name: value.text for name, value in found.values.items()}


@pytest.mark.parametrize("stack", ["dev", "ci"])
def test_a_host_of_2_gib_has_the_documents_sizes(stack: str) -> None:
    """ADA-01, X-19: whatever else runs on it, and what PostgreSQL's defaults say of the rest."""
    assert texts(of(stack)) == {
        "shared_buffers": "256MB", "effective_cache_size": "1024MB", "work_mem": "8MB", "maintenance_work_mem": "128MB",
        "max_worker_processes": "8", "max_parallel_workers": "2", "max_parallel_workers_per_gather": "2",
        "max_parallel_maintenance_workers": "2", "autovacuum_max_workers": "3", "autovacuum_work_mem": "16MB",
        "max_wal_size": "1024MB", "min_wal_size": "80MB",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("memory", "cpus", "expected"),
    [
        (512, 1, {"shared_buffers": "64MB", "work_mem": "1MB", "maintenance_work_mem": "32MB"}),
        (4096, 4, {"shared_buffers": "1024MB", "effective_cache_size": "2048MB", "max_parallel_workers": "4"}),
        (8192, 8, {"shared_buffers": "2048MB", "max_wal_size": "4096MB", "max_parallel_workers_per_gather": "4"}),
        (65536, 32, {"shared_buffers": "16384MB", "max_worker_processes": "36", "autovacuum_max_workers": "8"}),
    ],
)
def test_other_hosts_have_other_sizes(memory: int, cpus: float, expected: dict[str, str]) -> None:
    """JEEX-05: a quarter of the memory from 4 GiB on, as PostgreSQL's manual says."""
    patch = {
        f"hosts.{name}.{key}": value for name in ("db1", "db2") for key, value in (("memory", memory), ("cpus", cpus))
    }
    assert expected.items() <= texts(of("dev", patch)).items()


def test_the_smallest_database_host_decides() -> None:
    """Any member may become the primary, and a replica must not have less of some of them."""
    patch = {"hosts.db1.memory": 16384, "hosts.db1.cpus": 16}
    assert texts(of("dev", patch)) == texts(of("dev"))


def test_what_is_set_wins_and_is_counted() -> None:
    """What a stack file sets, of either kind, stays as it is written; the rest makes room for it."""
    patch = {
        "postgres.shared_buffers": 700,
        "postgres.parameters": {"autovacuum_work_mem": "64MB", "max_parallel_workers": 6},
    }
    found = of("dev", patch)
    assert {name for name, value in found.values.items() if value.origin is Origin.STACK} == {
        "shared_buffers", "autovacuum_work_mem", "max_parallel_workers"
    }  # fmt: skip
    assert (found.values["autovacuum_work_mem"].text, found.values["autovacuum_work_mem"].number) == ("64MB", 64)
    assert found.values["work_mem"].number < of("dev").values["work_mem"].number
    manifest = program.load("dev", config("dev", patch) | ROOTS).manifest
    assert (manifest.postgres.shared_buffers, parameters(manifest)["autovacuum_work_mem"]) == (700, "64MB")


@pytest.mark.parametrize(("unset", "counted"), [("-1", 128), (-1, 128)])
def test_a_worker_without_memory_of_its_own_takes_a_migrations(unset: Any, counted: int) -> None:
    """PostgreSQL's manual: -1 is maintenance_work_mem."""
    more, less = of("dev", {"postgres.parameters": {"autovacuum_work_mem": unset}}), of("dev")
    fixed = {name: value for name, value in less.values.items() if name != "autovacuum_work_mem"}
    difference = sizing.needed(100, more.values | fixed) - sizing.needed(100, less.values)
    assert difference == 3 * (counted - 16)


def hosts_at_random(times: int) -> Iterator[tuple[dict[str, Any], Settings]]:
    """Stacks of many shapes, the same ones in each run, and what is read of them. Some are refused."""
    draw = random.Random(15)
    for _ in range(times):
        memory = {name: floor(2 ** draw.uniform(7, 21)) for name in ("db1", "db2")}
        groups = draw.choice(
            [["postgres", "etcd"], ["postgres", "etcd", "redis"], ["postgres", "etcd", "edge", "redis"]]
        )
        patch: dict[str, Any] = {
            "hosts.db1.memory": memory["db1"], "hosts.db2.memory": memory["db2"],
            "hosts.db1.cpus": round(draw.uniform(0.1, 128), 1), "hosts.db1.groups": groups,
            "hosts.edge1.groups": ["edge", "etcd"] if "redis" in groups else ["edge", "redis", "etcd"],
            "postgres.max_connections": draw.choice([100, 182, 500, 5000, 100_000]),
            "release": {"debian": "trixie", "source": "pgdg", "postgres": draw.choice(MAJORS)},
        }  # fmt: skip
        for name, value in (
            ("postgres.shared_buffers", draw.randrange(16, 4096)),
            ("postgres.work_mem", draw.randrange(1, 64)),
            ("postgres.maintenance_work_mem", draw.randrange(1, 2048)),
            ("postgres.parameters", {"autovacuum_max_workers": draw.randrange(1, 16), "autovacuum_work_mem": "32MB"}),
        ):
            if draw.random() < 0.15:
                patch[name] = value
        if "edge" in groups:
            patch["postgres.max_connections"] = max(182, patch["postgres.max_connections"])
        given = config("dev", patch)
        try:
            yield patch, parse(given, "test")
        except InvalidStack as refused:
            assert {problem.path.rpartition(".")[2] for problem in refused.problems} <= {
                "memory", "effective_cache_size", "max_connections"
            }, refused  # fmt: skip


def test_memory_is_never_promised_twice() -> None:
    """JEEX-05, X-19: shared buffers, every process's work_mem, a migration and every autovacuum worker fit on each database host
    next to its services, whatever the hosts, connections and settings are. And each value is one that its server takes."""
    taken = 0
    for patch, settings in hosts_at_random(500):
        taken += 1
        found = sized(settings)
        values = {name: value.number for name, value in found.values.items()}
        vacuum = values["autovacuum_max_workers"] * values["autovacuum_work_mem"]
        processes = settings.postgres.max_connections + values["max_parallel_workers"]
        used = values["shared_buffers"] + values["maintenance_work_mem"] + vacuum + processes * values["work_mem"]
        for name, host in settings.hosts.items():
            if Group.POSTGRES in host.groups:
                services = sizing.services(host.groups, settings.redis)
                assert used + services <= found.machines[name].memory, (name, patch, texts(found))
        assert values["shared_buffers"] <= values["effective_cache_size"] <= min(
            found.machines[name].memory for name in ("db1", "db2")
        )  # fmt: skip
        known = server_parameters.known(settings.release.postgres)
        wrong = {name: value.text for name, value in found.values.items() if known[name].allowed(value.text)}
        assert wrong == {}, patch
    assert taken > 200


def test_more_memory_never_means_less() -> None:
    """Nor do more cores: who gives a host more gets no smaller size."""
    before: dict[str, int] = {}
    for memory in range(480, 20_000, 160):
        found = of("dev", {f"hosts.{name}.memory": memory for name in ("db1", "db2")})
        now = {name: value.number for name, value in found.values.items()}
        assert {name: (before[name], now[name]) for name in before if now[name] < before[name]} == {}, memory
        before = now


@pytest.mark.parametrize("connections", [100, 150, 300, 1000, 10_000])
def test_auto_gives_every_connection_the_documents_memory(connections: int) -> None:
    """ADA-01, BAC-03: from 2 GiB on, as much as the connections need, and no more than that."""
    patch = {"hosts.db1.memory": "auto", "hosts.db2.memory": "auto", "postgres.max_connections": connections}
    found = of("dev", patch)
    memory = found.machines["db1"].memory
    assert found.values["work_mem"].number >= 8
    assert memory >= 2048 and memory % 256 == 0
    if memory > 2048:
        less = of("dev", {**patch, "hosts.db1.memory": memory - 256, "hosts.db2.memory": memory - 256})
        assert less.values["work_mem"].number < 8


def test_auto_of_the_documents_hosts_is_what_the_documents_say() -> None:
    """BAC-03: a stack that says `auto` everywhere is dev; nothing of this machine is read."""
    patch = {f"hosts.{name}.{key}": "auto" for name in ("db1", "db2", "edge1", "ops1") for key in ("memory", "cpus")}
    assert of("dev", patch) == of("dev")


def test_auto_makes_room_for_what_is_set() -> None:
    patch = {"hosts.db1.memory": "auto", "hosts.db2.memory": "auto"}
    more = of("dev", {**patch, "postgres.shared_buffers": 4096})
    assert more.machines["db1"].memory >= 4096 + 288 + 102 * 8
    assert of("dev", {"hosts.edge1.memory": "auto", "redis.maxmemory": 2048}).machines["edge1"].memory == 2560


def test_a_containers_parallel_hash_fits_its_shared_memory() -> None:
    """Docker gives /dev/shm no more than it was told, and a statement that does not fit there fails."""
    patch = {
        f"hosts.{name}.{key}": value for name in ("db1", "db2") for key, value in (("memory", 131072), ("cpus", 16))
    }
    values = of("dev", patch).values
    processes = values["max_parallel_workers_per_gather"].number + 1
    assert values["work_mem"].number * 2 * processes <= sizing.CONTAINER_SHM
    machines = {f"hosts.db{number}.memory": 131072 for number in (1, 2, 3)}
    assert of("staging", machines).values["work_mem"].number > values["work_mem"].number


def test_the_manifest_holds_what_follows() -> None:
    """PLAT-03: what a preview compares and a server is checked for; the settings stay what the stack file says."""
    loaded = program.load("dev", config("dev", {"hosts.db1.memory": 4096, "hosts.db2.memory": 4096}) | ROOTS)
    settings, manifest = loaded.settings, loaded.manifest
    assert (settings.postgres.shared_buffers, manifest.postgres.shared_buffers) == (256, 1024)
    assert manifest.postgres.parameters["max_wal_size"] == parameters(manifest)["max_wal_size"] == "2048MB"
    assert "max_wal_size" not in settings.postgres.parameters


def test_the_order_of_parameters_does_not_matter() -> None:
    """PLAT-48: Pulumi hands mappings on in any order; what a server is given is written the same each time."""
    manifest = manifest_of("dev")
    handed = manifest.slice({"postgres"})
    handed["postgres"]["parameters"] = dict(reversed(handed["postgres"]["parameters"].items()))
    handed |= manifest.slice({"patroni", "products"}) | {"postgres": handed["postgres"]}
    assert list(parameters(Manifest.from_slice(handed))) == list(parameters(manifest))


def test_rules_and_sizes_agree_on_what_follows_next() -> None:
    """PLAT-20: the memory that a refusal asks for is accepted, and one MiB less is not."""
    for patch in ({"postgres.work_mem": 16}, {"postgres.max_connections": 3000}, {"postgres.shared_buffers": 4096}):
        asked = {}
        try:
            parse(config("dev", patch), "test")
        except InvalidStack as refused:
            asked = {problem.path: problem.nearest for problem in refused.problems if problem.nearest}
        assert set(asked) >= {"hosts.db1.memory", "hosts.db2.memory"}
        assert check(dict(parse(config("dev", {**patch, **asked}), "test"))) == []
        less = {path: value - 1 for path, value in asked.items() if path.startswith("hosts.") and value}
        with pytest.raises(InvalidStack):
            parse(config("dev", {**patch, **asked, **less}), "test")
