"""Which packages of a host have a newer version, and which units run a file of theirs, or one that was replaced already.

The controller sends this text to a host, whose Python runs it with the units' names as arguments; it prints one JSON document. It
needs nothing but the standard library, and changes nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

MODULES = Path("/usr/lib/python3/dist-packages")
CGROUPS = Path("/sys/fs/cgroup")
ALONE = ("ssh.service", "cron.service")
"""What they began outlives them, this program too: of them only the main process counts."""
OUTLIVED = ("pgbouncer.service",)
"""Those that leave with their clients outlive it: of it the main process counts, and what that has begun."""
REPLACED = "files that were replaced"
"""Why a unit restarts that an interrupted update left as it was."""


def main(units: Sequence[str]) -> None:
    """`packages`: package → installed and new version. `restarts`: unit → why it restarts."""
    updates = newer()
    owners = {_plain(path): name for name in updates for path in _said("dpkg", "-L", name).splitlines()}
    restarts = {unit: sorted({*reasons(unit, owners)}) for unit in units}
    sys.stdout.write(
        json.dumps({"packages": updates, "restarts": {unit: why for unit, why in restarts.items() if why}})
    )


def newer() -> dict[str, tuple[str, str]]:
    """What apt would bring without a package that is new, and without removing one: so no other major of PostgreSQL."""
    said = _said("apt-get", "-s", "-q", "upgrade")
    return {name: (old, new) for name, old, new in re.findall(r"^Inst (\S+) \[(\S+)\] \((\S+) ", said, re.M)}


def reasons(unit: str, owners: dict[str, str]) -> Iterator[str]:
    """Packages of which the unit's processes run a file, or REPLACED."""
    for process in processes(unit):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            code = runs(process)
            for path in code:
                if path.endswith(" (deleted)"):
                    yield REPLACED
                elif _plain(path) in owners:
                    yield owners[_plain(path)]
            if any("/bin/python3" in path for path in code):
                yield from (name for path, name in owners.items() if _plain(str(MODULES)) in path)
                began = started(process)
                if any(path.stat().st_ctime > began for path in MODULES.rglob("*.py")):
                    yield REPLACED


def processes(unit: str) -> list[Path]:
    """Folders below /proc."""
    shown = _said("systemctl", "show", "-p", "MainPID", "-p", "ControlGroup", unit)
    values = dict(line.split("=", 1) for line in shown.splitlines())
    if values.get("MainPID", "0") == "0":
        return []  # a timer, or what has ended
    if unit in ALONE:
        return [Path("/proc", values["MainPID"])]
    group = Path(CGROUPS, values["ControlGroup"].lstrip("/"))
    found = [Path("/proc", pid) for listed in group.rglob("cgroup.procs") for pid in listed.read_text().split()]
    if unit in OUTLIVED:
        return [each for each in found if values["MainPID"] in (each.name, parent(each))]
    return found


def parent(process: Path) -> str:
    """The number of the process that began it; "" where it has ended meanwhile."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return _stat(process)[1]
    return ""


def runs(process: Path) -> set[str]:
    """The files whose code is in a process's memory."""
    fields = (line.split(maxsplit=5) for line in (process / "maps").read_text(errors="replace").splitlines())
    return {words[5] for words in fields if len(words) == 6 and "x" in words[1] and words[5].startswith("/")}


def started(process: Path) -> float:
    """When it began, in seconds since 1970."""
    ticks = int(_stat(process)[19])
    return time.time() - float(Path("/proc/uptime").read_text().split()[0]) + ticks / os.sysconf("SC_CLK_TCK")


def _stat(process: Path) -> list[str]:
    """The fields of proc_pid_stat(5) from the third on."""
    return (process / "stat").read_text().rpartition(")")[2].split()


def _plain(path: str) -> str:
    """Packages call some files by names from before /lib became /usr/lib."""
    return path.removeprefix("/usr")


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}).stdout


if __name__ == "__main__":
    main(sys.argv[1:])
