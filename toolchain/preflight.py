"""What must hold before anything is changed: each probe returns a sentence, or None where all is well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from . import engine
from .steps import GB, Need, Step
from .system import System, existing

PLATFORMS = ("Linux x86_64", "Linux aarch64")
# With less, PostgreSQL's WAL and the backups of a small environment run into a full disk within a test.
ALWAYS_FREE = 2 * GB


def machine(system: System) -> list[str]:
    """Findings about the machine itself; cheap enough for every call."""
    findings = [kind(system), remote_engine(system), cgroups(system)]
    findings.append(disk(system, [Need(engine.data_root(system), ALWAYS_FREE)]))
    return [sentence for sentence in findings if sentence]


def steps(system: System, pending: Sequence[Step]) -> list[str]:
    """Findings about what is still to be done: steps with no way, and the space the others take.

    Steps that depend on one with no way are left out: whether they are possible is not known.
    """
    blocked: list[Step] = []
    needs: list[Need] = []
    findings: list[str] = []
    for step in pending:
        way = step.first_way()
        if step.after in blocked:
            blocked.append(step)
        elif way is None:
            blocked.append(step)
            findings.append(step.impossible())
        else:
            needs.extend(way.needs())
    space = disk(system, needs)
    return [*findings, space] if space else findings


def kind(system: System) -> str | None:
    """Containers that run systemd need Linux, and the pinned packages exist for two processors."""
    if system.kind in PLATFORMS:
        return None
    return f"Keel runs on {' or '.join(PLATFORMS)}; this machine is {system.kind}. Use such a machine."


def remote_engine(system: System) -> str | None:
    """Hosts publish their SSH ports on 127.0.0.1, so the engine must be on this machine."""
    host, found = system.environ.get("DOCKER_HOST", ""), engine.context(system)
    if host and not host.startswith(engine.LOCAL):
        return (
            f"DOCKER_HOST points at another machine ({host}), where this one cannot reach the hosts' published "
            "ports on 127.0.0.1. Unset DOCKER_HOST, or run Keel on that machine."
        )
    if found and not found[1].startswith(engine.LOCAL):
        where = f"points at another machine ({found[1]})" if found[1] else "is one that Docker does not know"
        return (
            f"Docker's context {found[0]} {where}, and Keel's hosts are containers of this machine. "
            "Unset DOCKER_CONTEXT and run `docker context use default`, or run Keel on that machine."
        )
    return None


def cgroups(system: System) -> str | None:
    """systemd 258 and later runs on cgroup v2 only: at its usual place, or next to v1 (hybrid)."""
    mounts = [line.split() for line in system.read("/proc/mounts").splitlines()]
    places = {m[1]: m[3].split(",") for m in mounts if len(m) > 3 and m[2] == "cgroup2"}
    for place in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if place in places:
            if "rw" in places[place]:
                return None
            return (
                f"the cgroup v2 hierarchy at {place} is mounted read-only, so no systemd can run in a "
                f"container. Mount it read-write (mount -o remount,rw {place}), or run Keel on the machine "
                "itself, not in a container."
            )
    return (
        "no cgroup v2 hierarchy is mounted at /sys/fs/cgroup or /sys/fs/cgroup/unified, and systemd in the "
        "hosts needs one. Boot with systemd.unified_cgroup_hierarchy=1, or as root: "
        "mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified."
    )


def disk(system: System, needs: Sequence[Need]) -> str | None:
    """Free space, summed over what goes to the same file system."""
    by_device: dict[int, list[Need]] = defaultdict(list)
    for need in needs:
        by_device[system.device(need.where)].append(need)
    short = []
    for together in by_device.values():
        total = sum(need.size for need in together)
        free = system.free_bytes(together[0].where)
        if free < total:
            places = ", ".join(sorted({str(existing(need.where)) for need in together}))
            short.append(f"{total / GB:.1f} GB are needed and {free / GB:.1f} GB are free below {places}")
    if not short:
        return None
    return f"too little disk: {'; '.join(short)}. Free some, or point XDG_CACHE_HOME or Docker's data-root elsewhere."
