"""How large: what a host has and what PostgreSQL takes of it, where the stack file does not say it.

All of it follows from the stack file alone. The machine that runs `up` is not asked: a second `up`, or another operator's,
finds the same sizes (docs/decisions/0019-sizes-follow-from-the-stack-file.md). Every server of a cluster has the same sizes, so
the smallest database host decides. What the stack file sets is taken, and counted.

    memory of a host ≥ its services + shared_buffers + maintenance_work_mem + autovacuum_max_workers · autovacuum_work_mem
                       + (max_connections + max_parallel_workers) · work_mem

Memory is in MiB here. The documents give sizes for a host of 2 GiB (ADA-01, BAC-03, X-19), and there these are the result.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import ceil
from typing import Any, NamedTuple

from environment import server_parameters
from environment.server_parameters import MEMORY, text
from environment.settings import Host, Postgres, Settings
from environment.types import AUTO, Group, ParameterValue

MEMORY_OVERHEAD = {Group.POSTGRES: 192, Group.ETCD: 96, Group.EDGE: 128, Group.REDIS: 64}
"""MiB a group needs in addition to its own settings; measured resident sizes of the idle daemons, rounded up."""
DOCUMENTED = 2048
"""MiB of a host for which the documents give sizes (BAC-03: 2G)."""
DOCUMENTED_CPUS = 2.0
"""Its cores (BAC-03)."""
DOCUMENTED_WORK_MEM = 8
"""ADA-01: what every process should have, where the host has it."""
SMALL = 1024
"""MiB of an `auto` host without a database: what stacks/Pulumi.dev.yaml gives its edge and its backup host."""
STEP = 256
"""`auto` is a multiple of this many MiB, so that one more connection does not resize a host."""
LEAST, MOST = 128, 2_097_151
"""MiB that `memory` of a host may be (environment/types.py:Memory)."""
CONTAINER_SHM = 256
"""MiB of /dev/shm in a container; on a machine it is half of its memory. A parallel hash is there, and the statement fails
where it is full."""
HASHES = 2
"""A hash takes this many times work_mem: hash_mem_multiplier, PostgreSQL's default since 15."""
MOST_UPKEEP = 1024
"""MiB. Up to 16, VACUUM uses no more than 1 GB of maintenance_work_mem for what it remembers (PostgreSQL's manual)."""
MOST_WORK_MEM = 1024
"""MiB. One statement takes it once for each sort and twice for each hash, in each of its processes (PostgreSQL's manual)."""
SEGMENTS = 32
"""MiB. min_wal_size is two segments at least, or the server does not start."""

SETTINGS = ("shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem")
"""Of the sizes, those with a setting of their own; the others are set under keel:postgres.parameters."""
COUNTS = (
    "max_worker_processes",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
    "max_parallel_maintenance_workers",
    "autovacuum_max_workers",
)
AMOUNTS = ("autovacuum_work_mem", "max_wal_size", "min_wal_size")
"""MiB."""


class Origin(StrEnum):
    """Where a value came from."""

    STACK = "stack file"
    DERIVED = "derived"
    KEEL = "Keel's default"
    POSTGRESQL = "PostgreSQL's default"


class Value(NamedTuple):
    """A size that a server gets."""

    number: int
    """A count, or MiB."""
    text: str
    """As a configuration file has it."""
    origin: Origin
    reason: str


class Machine(NamedTuple):
    """What a host may use."""

    memory: int
    cpus: float


class Room(NamedTuple):
    """Of all database hosts the least of each: what PostgreSQL's sizes follow from."""

    memory: int
    left: int
    """MiB without what else runs there."""
    cpus: float
    container: bool
    """Whether one of them is a container, with a small /dev/shm."""


class Sized(NamedTuple):
    """What follows from a stack file."""

    machines: dict[str, Machine]
    values: dict[str, Value]
    """Parameter → its size; empty where there is no database host."""

    def postgres(self, written: Postgres) -> Postgres:
        """The section with every size in it: what the manifest holds."""
        found = {name: self.values[name].number for name in SETTINGS if name in self.values}
        derived: dict[str, ParameterValue] = {
            name: value.text
            for name, value in self.values.items()
            if name not in SETTINGS and value.origin is Origin.DERIVED
        }
        return written.model_copy(update={**found, "parameters": derived | written.parameters})


def sized(settings: Settings) -> Sized:
    """What follows from a whole stack file."""
    return of_sections(settings.hosts, settings.postgres, settings.redis, settings.release)


def of_sections(hosts: Mapping[str, Host], postgres: Any, redis: Any, release: Any) -> Sized:
    """The same from its sections. Raises Unreadable where a setting that matters was refused."""
    written = given(postgres, release.postgres)
    connections, cpus = postgres.max_connections, cores(hosts)

    def memory(host: Host) -> int:
        """MiB of a host, of an `auto` one in steps."""
        if host.memory != AUTO:
            return int(host.memory)
        runs = services(host.groups, redis)
        if Group.POSTGRES not in host.groups:
            return max(SMALL, STEP * ceil(runs / STEP))

        def enough(memory: int) -> bool:
            room = Room(memory, memory - runs, cpus, host.ssh is None)
            values = sizes(room, connections, written)
            return (
                _fits(room, connections, values)
                and values["effective_cache_size"].number <= memory
                and ("work_mem" in written or values["work_mem"].number >= DOCUMENTED_WORK_MEM)
            )

        steps = range(DOCUMENTED, MOST, STEP)
        return steps[min(bisect_left(steps, True, key=enough), len(steps) - 1)]

    machines = {name: Machine(memory(host), _cpus(host)) for name, host in hosts.items()}
    carrying = [name for name, host in hosts.items() if Group.POSTGRES in host.groups]
    if not carrying:
        return Sized(machines, {})
    room = Room(
        memory=min(machines[name].memory for name in carrying),
        left=min(machines[name].memory - services(hosts[name].groups, redis) for name in carrying),
        cpus=cpus,
        container=any(hosts[name].ssh is None for name in carrying),
    )
    return Sized(machines, sizes(room, connections, written))


def services(groups: Iterable[Group], redis: Any) -> int:
    """MiB that a host needs for what is not PostgreSQL's own sizes."""
    carried = frozenset(groups)
    return sum(MEMORY_OVERHEAD.get(group, 0) for group in carried) + (redis.maxmemory if Group.REDIS in carried else 0)


def cores(hosts: Mapping[str, Host]) -> float:
    """Of the database host with the fewest."""
    return min((_cpus(host) for host in hosts.values() if Group.POSTGRES in host.groups), default=DOCUMENTED_CPUS)


def _cpus(host: Host) -> float:
    return DOCUMENTED_CPUS if host.cpus == AUTO else float(host.cpus)


def least_memory(host: Host, cpus: float, postgres: Any, redis: Any, release: Any) -> int:
    """MiB with which a host holds its services and, where it has a database, what the stack file sets and the least of what
    follows. ``cpus``: of the smallest database host."""
    runs = services(host.groups, redis)
    if Group.POSTGRES not in host.groups:
        return runs
    written, connections = given(postgres, release.postgres), postgres.max_connections

    def fits(memory: int) -> bool:
        room = Room(memory, memory - runs, cpus, host.ssh is None)
        return _fits(room, connections, sizes(room, connections, written))

    return LEAST + bisect_left(range(LEAST, MOST), True, key=fits)


def given(postgres: Any, major: int) -> dict[str, Value]:
    """Name → what the stack file sets of the sizes. A value that PostgreSQL does not take has its own refusal, and is left out."""
    known = server_parameters.known(major)
    found = {
        name: Value(getattr(postgres, name), f"{getattr(postgres, name)}MB", Origin.STACK, f"keel:postgres.{name}")
        for name in SETTINGS
        if name in postgres.model_fields_set
    }
    for name, value in postgres.parameters.items():
        parameter = known.get(name)
        base = parameter.base(value) if parameter and name in (*COUNTS, *AMOUNTS) else None
        if parameter and base is not None:
            number = ceil(base * MEMORY[parameter.unit] / MEMORY["MB"]) if parameter.unit and base > 0 else int(base)
            found[name] = Value(number, text(value), Origin.STACK, f"keel:postgres.parameters.{name}")
    return found


def needed(connections: int, values: Mapping[str, Value]) -> int:
    """MiB that PostgreSQL may use of its own sizes at the same time."""
    return values["shared_buffers"].number + _upkeep(values) + _users(connections, values) * values["work_mem"].number


def _fits(room: Room, connections: int, values: Mapping[str, Value]) -> bool:
    return needed(connections, values) <= room.left


def _upkeep(values: Mapping[str, Value]) -> int:
    """One migration or CREATE INDEX, and every autovacuum worker. -1 gives a worker as much as a migration."""
    maintenance, each = values["maintenance_work_mem"].number, values["autovacuum_work_mem"].number
    return maintenance + values["autovacuum_max_workers"].number * (each if each >= 0 else maintenance)


def _users(connections: int, values: Mapping[str, Value]) -> int:
    """Processes that may take work_mem. Each counts once: most are idle in their pools while one takes more."""
    return connections + values["max_parallel_workers"].number


def sizes(room: Room, connections: int, written: Mapping[str, Value]) -> dict[str, Value]:
    """Parameter → its size: what is written, else what follows from the room and from the connections."""
    found: dict[str, Value] = {}

    def choose(name: str, number: int, reason: str) -> int:
        value = Value(number, str(number) if name in COUNTS else f"{number}MB", Origin.DERIVED, reason)
        found[name] = written.get(name, value)
        return found[name].number

    cpus = int(room.cpus)
    has = f"the smallest database host has {room.memory} MiB"
    parallel = choose("max_parallel_workers", _within(2, cpus, 1024), f"one per core of {room.cpus:g}, 2 at least")
    gather = _within(2, cpus // 2, 4)
    half = f"half of {room.cpus:g} cores, 2 (PostgreSQL's default) at least, 4 at most: other statements run too"
    at_once = choose("max_parallel_workers_per_gather", min(gather, parallel), half)
    choose("max_parallel_maintenance_workers", min(gather, parallel), half)
    choose(
        "max_worker_processes", max(8, parallel + 4),
        "the parallel workers and 4 that are none, 8 (PostgreSQL's default) at least",
    )  # fmt: skip
    # More of them are no faster: they share one limit of work (autovacuum_vacuum_cost_limit).
    workers = _within(3, cpus // 4, 10)
    choose("autovacuum_max_workers", workers, "one per four cores, 3 (PostgreSQL's default) at least, 10 at most")

    maintenance = choose(
        "maintenance_work_mem", _within(1, room.memory // 16, MOST_UPKEEP),
        f"a sixteenth: {has}; {MOST_UPKEEP} at most",
    )  # fmt: skip
    choose(
        "autovacuum_work_mem", max(1, maintenance // 8),
        "an eighth of maintenance_work_mem, because every worker takes it at the same time",
    )  # fmt: skip
    upkeep, users = _upkeep(found), _users(connections, found)

    least_work = written["work_mem"].number if "work_mem" in written else 1
    left = room.left - upkeep - users * least_work
    buffers = _buffers(room.memory)
    squeezed = left < buffers
    shared = choose(
        "shared_buffers", max(16, room.memory // 16, min(buffers, left)),
        f"what services, upkeep and {users} processes leave: {has}" if squeezed
        else f"{_share(room.memory)} (ADA-01: 256 of 2048; PostgreSQL's manual: a quarter, here from 4096 on): {has}",
    )  # fmt: skip
    rest = room.left - upkeep - shared
    most = min(MOST_WORK_MEM, CONTAINER_SHM // (HASHES * (at_once + 1))) if room.container else MOST_WORK_MEM
    work = max(rest // 2 // users, min(DOCUMENTED_WORK_MEM, rest // users))
    choose("work_mem", _within(1, work, most), _why_work(work, most, rest, users))
    choose("effective_cache_size", max(room.memory // 2, shared), f"half, shared_buffers at least: {has}")

    wal = choose(
        "max_wal_size", _within(1024, room.memory // 2, 4096),
        f"half, 1024 (PostgreSQL's default) at least, 4096 at most, because a server that crashed replays it: {has}",
    )  # fmt: skip
    choose(
        "min_wal_size", max(SEGMENTS, wal * 5 // 64), "5/64 of max_wal_size, as PostgreSQL's defaults are (80 of 1024)"
    )
    return found


def _buffers(memory: int) -> int:
    """An eighth up to 2 GiB (ADA-01, X-19), a quarter from 4 GiB on, where what else runs weighs less (PostgreSQL's manual), and a
    straight line between."""
    return min(memory // 4, max(memory // 8, memory * 3 // 8 - 512))


def _share(memory: int) -> str:
    if memory <= DOCUMENTED:
        return "an eighth"
    return "a quarter" if memory >= 2 * DOCUMENTED else "from an eighth to a quarter"


def _why_work(work: int, most: int, rest: int, users: int) -> str:
    processes = f"{users} processes (max_connections and max_parallel_workers)"
    if work > most:
        return "as much as a parallel hash may take of /dev/shm" if most < MOST_WORK_MEM else f"{most} at most"
    if work == DOCUMENTED_WORK_MEM:
        return f"ADA-01's, which {rest} MiB give to each of {processes}"
    if work < DOCUMENTED_WORK_MEM:
        return f"less than ADA-01's {DOCUMENTED_WORK_MEM}: {rest} MiB are left for {processes}"
    return f"half of the {rest} MiB that are left, for {processes}; the other half caches files"


def _within(least: int, number: int, most: int) -> int:
    return max(least, min(number, most))
