"""OS accounts of a host, and work that is done as one of them."""

from __future__ import annotations

import json
import os
import pwd
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from keel_host.processes import Failed

POSTGRES = "postgres"
"""Owns the cluster, the repository and its key."""
SCRATCH = "keel-scratch"
"""Owns the scratch servers that run, and nothing else: it can read no key and no other file of Keel's (W0)."""
RECEIVER = "keel-receiver"
"""As it, pgBackRest's server on the backup host receives WAL from database hosts and reads the repository for them. It owns a
segment for seconds (W5): keel_host/programs/seal_archive.py."""


def command(account: str, *words: str) -> tuple[str, ...]:
    """What root runs as an account."""
    return ("runuser", "-u", account, "--", *words)


def apart(account: str, work: Callable[[], Any]) -> Any:
    """What ``work`` returns, as far as JSON can hold it, done by a process that is ``account`` from its beginning and that
    goes with this one's interest in it. Raises Failed with what went wrong there."""
    sys.stdout.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        answer(account, work, writing)
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            said = json.loads(pipe.read() or '{"failed": "the process that asked it died"}')
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if "failed" in said:
        raise Failed(said["failed"])
    return said["done"]


def answer(account: str, work: Callable[[], Any], writing: int) -> NoReturn:
    """The child's part."""
    try:
        os.closerange(3, writing)  # locks, which would outlive their holder
        become(account)
        said = json.dumps({"done": work()})
    except BaseException as error:
        said = json.dumps({"failed": str(error).strip() or type(error).__name__})
    with os.fdopen(writing, "w") as pipe:
        pipe.write(said)
    os._exit(0)


def become(account: str) -> None:
    """Be an account, with its own group alone, and for good."""
    entry = pwd.getpwnam(account)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.chdir("/")
