"""The lock on the hosts: one controller at a time, whichever state it works from.

It is held by an SSH connection and ends with it, however it ends.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

from environment.errors import UNCHANGED, KeelError
from ops.hosts import changes
from ops.hosts.session import Session, Unreachable

PATH = "/run/keel.lock"
PATIENCE = 3
"""Seconds: longer than a look at the lock (:func:`refuse_others`) takes."""
HELD = "held"
"""What :func:`command` says when it has the lock; anything else is the owner."""


class Locked(KeelError):
    """Another controller is at work on a host: which host, who."""


def command() -> str:
    """Shell that takes a host's lock, records the change, and holds it until its input ends, or says who has it."""
    return (
        f"exec 9>>{PATH}; flock -w {PATIENCE} 9 || {{ cat {PATH}.owner; exit 1; }}; "
        f"echo {shlex.quote(changes.controller())} > {PATH}.owner; {changes.command()}; {changes.shortened()}; "
        f"echo {HELD}; exec cat >/dev/null"
    )


def refusal(host: str, said: str) -> Locked:
    """The error for a lock that ``said`` has."""
    return Locked(f"{host} is being changed by another controller: {said}", UNCHANGED, "Run again when it is done")


@contextmanager
def held(session: Session, hosts: Iterable[str]) -> Iterator[None]:
    """Keep other controllers off ``hosts`` for as long as this lasts. Raises Locked or Unreachable."""
    with ExitStack() as locks:
        for host in dict.fromkeys(hosts):
            locks.enter_context(_held(session, host))
        yield


@contextmanager
def _held(session: Session, host: str) -> Iterator[None]:
    holder = subprocess.Popen(
        session.ssh(host, command()), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )  # fmt: skip
    try:
        said = holder.stdout.readline().strip() if holder.stdout else ""
        if not said:
            raise Unreachable(f"{host} cannot be locked: no answer by SSH", UNCHANGED, "See `./keel status`")
        if said != HELD:
            raise refusal(host, said)
        yield
    finally:
        if holder.stdin:
            holder.stdin.close()
        try:
            holder.wait(timeout=5)
        except subprocess.TimeoutExpired:
            holder.kill()
            holder.wait()
        if holder.stdout:
            holder.stdout.close()


def refuse_others(session: Session, *, changes_it: bool = False) -> None:
    """Raise Locked when a controller other than this one holds the lock of a host that answers; hosts that are free record the
    change of one that ``changes_it``."""
    names = [host.name for host in session.manifest.hosts]
    with ThreadPoolExecutor(len(names)) as pool:
        for host, said in zip(names, pool.map(partial(_holder, session, changes_it), names), strict=True):
            if said and said != changes.controller():
                raise refusal(host, said)


def _holder(session: Session, changes_it: bool, host: str) -> str:
    """Who holds the host's lock; empty when it is free, or the host does not answer."""
    free = changes.command() if changes_it else "true"
    look = f"exec 9>>{PATH}; if flock -n -s 9; then {free}; else cat {PATH}.owner; fi"
    try:
        return session.run(host, look, timeout=15).strip()
    except (Unreachable, subprocess.SubprocessError):
        return ""
