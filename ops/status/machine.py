"""The checks of `keel doctor`: each looks at the machine and says what to do where it does not fit."""

from __future__ import annotations

import ctypes
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from environment import sizing
from environment.errors import KeelError
from environment.home import home
from environment.pki import CA_NOT_BEFORE
from environment.settings import Settings
from environment.types import Group, Provider
from ops.state.preflight import taken_ports
from toolchain import engine, preflight
from toolchain.steps import Need
from toolchain.system import System, existing

Level = Literal["ok", "warn", "fail"]
MIB = 2**20
TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised."""

FSYNC_ROUNDS = 100
FSYNC_BYTES = 8192
FSYNC_SLOW = 0.010
"""Seconds. etcd asks for fsyncs below 10 ms; each commit waits for at least one on two servers."""
FSYNC_TOO_SLOW = 0.100
"""Seconds. As long as etcd's heartbeat: leaders are lost without a fault."""


class Finding(NamedTuple):
    """One line of the answer; the text of a warning or failure says what to do."""

    check: str
    level: Level
    text: str


class UnknownCheck(KeelError):
    """No such check: what was asked for, and those there are."""


def examine(environment: str, settings: Settings, only: Sequence[str]) -> list[Finding]:
    """The findings of all checks, or of those named in ``only``. Raises UnknownCheck."""
    for name in only:
        if name not in CHECKS:
            raise UnknownCheck(f"there is no check {name!r}; there are {', '.join(CHECKS)}")
    system = System(os.environ)
    wanted = only or [
        name for name in CHECKS if name not in CONTAINERS or settings.environment.provider is Provider.DOCKER
    ]
    return [
        Finding(name, level, text) for name in wanted for level, text in CHECKS[name](system, environment, settings)
    ]


Check = Callable[[System, str, Settings], Iterator[tuple[Level, str]]]


def _kernel(system: System, _environment: str, _settings: Settings) -> Iterator[tuple[Level, str]]:
    sentences = [sentence for sentence in (preflight.kind(system), preflight.cgroups(system)) if sentence]
    yield from (("fail", sentence) for sentence in sentences)
    if not sentences:
        yield "ok", f"{system.kind}, kernel {os.uname().release}, cgroup v2 usable"


def _docker(system: System, _environment: str, _settings: Settings) -> Iterator[tuple[Level, str]]:
    remote = preflight.remote_engine(system)
    if remote:
        yield "fail", remote
    elif engine.answers(system):
        yield "ok", "the engine answers"
    else:
        yield "warn", "the engine does not answer; `make up` installs and starts it"


def _disk(system: System, _environment: str, settings: Settings) -> Iterator[tuple[Level, str]]:
    root = engine.data_root(system)
    short = preflight.disk(system, [Need(root, preflight.ALWAYS_FREE)])
    # A replica that is away holds back WAL on every member that keeps a slot for it (PLAT-38).
    held = (
        settings.postgres.replicas * (settings.postgres.replicas + 1) * settings.postgres.max_slot_wal_keep_size * MIB
    )
    free = system.free_bytes(root)
    if short:
        yield "fail", short
    elif free < preflight.ALWAYS_FREE + held:
        yield (
            "warn",
            f"{free / MIB:.0f} MiB free below {existing(root)}; replicas that are down may hold back {held / MIB:.0f} MiB "
            "of WAL: free some, or lower keel:postgres.max_slot_wal_keep_size",
        )
    else:
        yield "ok", f"{free / MIB:.0f} MiB free below {existing(root)}"


def _memory(system: System, _environment: str, settings: Settings) -> Iterator[tuple[Level, str]]:
    figures = dict(line.split(":", 1) for line in system.read("/proc/meminfo").splitlines() if ":" in line)
    total = int(figures["MemTotal"].split()[0]) // 1024
    sized = sizing.sized(settings)
    limits = sum(machine.memory for machine in sized.machines.values())
    members = sum(Group.POSTGRES in host.groups for host in settings.hosts.values())
    held = members * sized.values["shared_buffers"].number + settings.redis.maxmemory
    if held > total:
        yield (
            "fail",
            f"shared buffers and Redis alone may take {held} MiB, this machine has {total} MiB: lower "
            "keel:postgres.shared_buffers or keel:redis.maxmemory",
        )
    elif limits > total:
        yield (
            "warn",
            f"the hosts may use {limits} MiB together, this machine has {total} MiB: under load the kernel kills "
            "processes; lower keel:hosts.<name>.memory",
        )
    else:
        yield "ok", f"the hosts may use {limits} of {total} MiB"


def _ports(_system: System, environment: str, settings: Settings) -> Iterator[tuple[Level, str]]:
    taken = taken_ports(environment, settings)
    for sentence in taken:
        yield "fail", f"{sentence}: free it, or choose another in the stack file"
    if not taken:
        yield "ok", "the published ports are free, or this environment's own"


def _clock(_system: System, _environment: str, _settings: Settings) -> Iterator[tuple[Level, str]]:
    now = datetime.now(UTC)
    # struct timex, all zero: read only; 256 bytes is more than any platform's.
    synchronised = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(256)) != TIME_ERROR
    if now < CA_NOT_BEFORE:
        yield "fail", f"the clock says {now:%Y-%m-%d}: no certificate would be valid yet; set it"
    elif not synchronised:
        yield "warn", f"{now:%Y-%m-%d %H:%M:%S} UTC, not synchronised as far as the kernel knows: run chrony or ntpd"
    else:
        yield "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC, synchronised"


def _fsync(system: System, _environment: str, _settings: Settings) -> Iterator[tuple[Level, str]]:
    volumes = engine.data_root(system)
    folder = volumes if os.access(volumes, os.W_OK) else existing(home() / ".local/state/keel")
    median = fsync_latency(folder)
    told = f"fdatasync of 8 kB takes {median * 1000:.2f} ms (median of {FSYNC_ROUNDS}) below {folder}"
    if median >= FSYNC_TOO_SLOW:
        yield "fail", f"{told}: etcd would lose its leader; use a faster disk"
    elif median >= FSYNC_SLOW:
        yield "warn", f"{told}: commits will be slow; use a faster disk"
    else:
        yield "ok", told


def fsync_latency(folder: Path) -> float:
    """Median of what writing 8 kB and fdatasync take below ``folder``, seconds."""
    block, taken = os.urandom(FSYNC_BYTES), []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(FSYNC_ROUNDS):
            began = time.perf_counter()
            os.pwrite(file.fileno(), block, 0)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


CHECKS: dict[str, Check] = {
    "kernel": _kernel,
    "docker": _docker,
    "disk": _disk,
    "memory": _memory,
    "ports": _ports,
    "clock": _clock,
    "fsync": _fsync,
}
"""In the order in which they are shown."""
CONTAINERS = frozenset({"kernel", "docker", "disk", "memory", "ports", "fsync"})
"""Checks that matter only where hosts are containers on this machine."""
