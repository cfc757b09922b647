"""End this process when the Pulumi engine that started it is gone.

A killed `pulumi up` leaves its plugin processes behind; a step that went on changing hosts without an engine to
record it, while the next run has begun, must not exist.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

BOOT = Path("/proc/sys/kernel/random/boot_id")
INTERVAL = 0.5
"""Seconds between two looks."""


def end_with_it(*, with_children: bool) -> None:
    """Watch the nearest ancestor called ``pulumi``, if there is one, and kill this process when it is gone.

    ``with_children`` makes this process the head of a group of its own and kills the whole group.
    """
    found = _ancestor("pulumi")
    if found is None:
        return
    if with_children:
        os.setpgid(0, 0)
    threading.Thread(target=_watch, args=(*found, with_children), daemon=True).start()


EAR = "trap 'echo interrupted; exit' INT TERM; read -r _"
"""Shell that says so when it is interrupted, and ends with whoever holds its input."""


def hear_interrupts(act: Callable[[], None]) -> None:
    """Call ``act`` when the engine's process group is interrupted, as Ctrl-C does.

    The engine gives its plugins groups of their own and asks them to cancel. But the host of dynamic providers drops that call,
    and cannot even take it while four steps run. So a process in the engine's group listens.
    """
    found = _ancestor("pulumi")
    if found is None:
        return
    with suppress(PermissionError, ProcessLookupError):  # it is in another session, or has gone
        ear = subprocess.Popen(
            ["sh", "-c", EAR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=os.getpgid(found[0])
        )  # fmt: skip
        threading.Thread(target=_listen, args=(ear, act), daemon=True).start()


def _listen(ear: subprocess.Popen[bytes], act: Callable[[], None]) -> None:
    if ear.stdout and ear.stdout.readline():
        act()
    ear.wait()


def pid() -> int | None:
    """Number of the Pulumi engine that this process works for, None when there is none."""
    found = _ancestor("pulumi")
    return found[0] if found else None


def remember(file: Path) -> None:
    """Write down which engine this process works for, and where: who finds its lock knows then that it was here."""
    found = _ancestor("pulumi")
    if found is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    waiting = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    record = {"pid": found[0], "here": _here(), "began": _began(found[1]), "seen": time.time()}
    waiting.write_text(json.dumps(record))
    waiting.replace(file)


def ended_here(file: Path) -> bool:
    """Whether the engine that was written down last was of this machine and container, and runs no more."""
    record = _remembered(file)
    return record is not None and record["here"] == _here() and not runs(record["pid"], "pulumi")


def was(file: Path, pid: int, at: float) -> bool:
    """Whether that engine has this number and made something ``at`` this time, in whole seconds, before it was written down."""
    record = _remembered(file)
    return record is not None and record["pid"] == pid and record["began"] - 2 <= at <= record["seen"]


def _remembered(file: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(file.read_text()))
    except (FileNotFoundError, ValueError):
        return None


def _here() -> str:
    """This machine since it started, and the container on it: a number of a process means something there alone. Hosts and
    containers may have the same name."""
    return f"{BOOT.read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"


def _began(started: str) -> float:
    """The time at which a process started, from its ticks since the machine did."""
    up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - up + int(started) / os.sysconf("SC_CLK_TCK")


def runs(pid: int, name: str) -> bool:
    """True if process ``pid`` is alive (not a zombie) and called ``name``."""
    try:
        return _stat(pid)[0] == name and _state(pid) not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _ancestor(name: str) -> tuple[int, str] | None:
    number = os.getppid()
    while number > 1:
        command, parent, started = _stat(number)
        if command == name:
            return number, started
        number = parent
    return None


def _stat(pid: int) -> tuple[str, int, str]:
    """Name, parent and start time of a process; the start time distinguishes it from a later one with the same number."""
    text = Path(f"/proc/{pid}/stat").read_text()
    command, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    return command, int(rest[1]), rest[19]


def _watch(pid: int, started: str, with_children: bool) -> None:
    wait = threading.Event()
    while True:
        try:
            if _stat(pid)[2] != started or _state(pid) in "ZX":
                break
        except (FileNotFoundError, ProcessLookupError):
            break
        wait.wait(INTERVAL)
    if with_children:
        os.killpg(os.getpgid(0), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
