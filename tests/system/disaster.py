"""What the tests do to an environment."""

from __future__ import annotations

import subprocess
import sys
from typing import IO

from environment.load import ROOT
from ops.hosts.docker import docker
from tests.system.environments import Ephemeral

PHASES = (
    "archiving the WAL",
    "PostgreSQL is stopped",
    "restore from backup",
    "after custom bootstrap",
    "built again",
    "full backup",
)
"""What a restore in place with replicas tells of, in this order."""


def lose_everything(environment: Ephemeral, repository: bool = False) -> None:
    """Every container at once and every volume but the repository's, or with ``repository`` that too."""
    label = ("--filter", f"label=keel.environment={environment.name}")
    docker("rm", "-f", *docker("ps", "-aq", *label).split())
    for volume in docker("volume", "ls", "-q", *label).split():
        if repository or not volume.endswith("-pgbackrest"):
            docker("volume", "rm", volume)


def kill_in_phase(environment: Ephemeral, phase: str, *command: str) -> None:
    """Start a command of ./keel and kill it when it tells of ``phase``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ops.cli", "--env", environment.name, *command],
        cwd=ROOT, env=environment.variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    kill_at(process, process.stderr, phase)


def kill_at(process: subprocess.Popen[str], output: IO[str] | None, words: str) -> None:
    """Kill -9 a program as soon as what it tells holds ``words``. Raises AssertionError where it ends before."""
    said = []
    for line in output or ():
        said.append(line)
        if words in line:
            break
    else:
        raise AssertionError(f"it ended before {words!r}:\n{''.join(said)[-4000:]}")
    process.kill()
    process.wait()
