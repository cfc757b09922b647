"""The Docker engine, through its command."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from environment.errors import KeelError
from environment.names import LABEL
from environment.report import Report


class DockerFailed(KeelError):
    """A docker command failed: which one and what it said."""


def docker(*arguments: str, given: str | None = None) -> str:
    """Standard output of ``docker <arguments>``. Raises DockerFailed."""
    done = subprocess.run(["docker", *arguments], input=given, capture_output=True, text=True)
    if done.returncode:
        raise DockerFailed(f"docker {' '.join(arguments[:2])}: {done.stderr.strip()}")
    return done.stdout.strip()


SSHD = 22
"""sshd's port in containers (keel:ports.ssh)."""


def sshd_ports(environment: str) -> dict[str, int]:
    """Container → port of this machine that leads to its sshd, of the environment's containers that run."""
    try:
        listed = docker(
            "ps", "--filter", f"label={LABEL}={environment}", "--format", "{{.Names}} {{.Ports}}"
        ).splitlines()
    except (DockerFailed, FileNotFoundError):
        return {}
    found = {}
    for name, _, ports in (line.partition(" ") for line in listed):
        for outside, arrow, inside in (part.partition("->") for part in ports.split(", ")):
            if arrow and inside == f"{SSHD}/tcp":
                found[name] = int(outside.rpartition(":")[2])
    return found


def image_id(name: str) -> str | None:
    """Id of the image called ``name``, None when there is none."""
    done = subprocess.run(["docker", "image", "inspect", "-f", "{{.Id}}", name], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def inspect(kind: str, name: str) -> dict[str, Any] | None:
    """What ``docker <kind> inspect`` prints for ``name``; None when there is no such thing."""
    done = subprocess.run(["docker", kind, "inspect", name], capture_output=True, text=True)
    if done.returncode:
        return None
    (found,) = json.loads(done.stdout)
    return dict(found)


def aliases(container: str, network: str) -> set[str] | None:
    """The names of the network's kind (environment/names.py:alias) under which others in it find a container; None where it has not
    joined it."""
    joined = (inspect("container", container) or {}).get("NetworkSettings", {}).get("Networks") or {}
    if network not in joined:
        return None
    return {each for each in joined[network].get("Aliases") or () if each.endswith(f".{network}")}


def build(folder: str, tag: str, labels: dict[str, str], report: Report) -> str:
    """Build ``folder`` as ``tag`` and return its id. Its steps are reported as they begin."""
    arguments = [argument for key, value in labels.items() for argument in ("--label", f"{key}={value}")]
    # On some machines only the host's network resolves names during a build.
    process = subprocess.Popen(
        ["docker", "build", "--network", "host", "--tag", tag, *arguments, folder],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    lines: list[str] = []
    for line in process.stdout or ():
        lines.append(line.rstrip())
        if line.startswith(("Step ", "#")):
            report(f"image {tag}: {line.strip()[:120]}")
    if process.wait():
        raise DockerFailed(
            f"docker build of {tag} failed\n" + "\n".join(lines[-20:]), "The running hosts were left alone"
        )
    built = image_id(tag)
    if built is None:
        raise DockerFailed(f"docker build of {tag} succeeded, but there is no such image")
    return built
