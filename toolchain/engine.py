"""The Docker engine: the one that runs, the one that is installed, or Debian's."""

from __future__ import annotations

import json
import time
from pathlib import Path

from . import apt
from .cache import Cache
from .errors import SetupError
from .steps import GB, Need, Step, Way
from .system import System

SOCKET = "/var/run/docker.sock"
LOCAL = "unix://"
"""How the address of an engine on this machine begins."""
START_SECONDS = 60.0  # for a daemon to answer; 3 to 5 s measured, more where it first migrates its storage
POLL_SECONDS = 0.2
PACKAGE_SIZE = GB // 2  # docker.io, containerd, runc unpacked


def step(system: System, cache: Cache) -> Step:
    """A running engine is used as it is; nothing about its configuration is changed."""
    return Step(
        "Docker engine",
        lambda: answers(system),
        [
            Way("start of the installed one", lambda: _unstartable(system), lambda: start(system, cache)),
            Way(
                "Debian's package docker.io",
                lambda: apt.obstacle(system),
                lambda: _install(system, cache),
                lambda: (Need(system.path("/usr"), PACKAGE_SIZE),),
            ),
        ],
        "Install Docker (https://docs.docker.com/engine/install) and let this user use it (group docker), "
        "or run this as root.",
    )


def answers(system: System) -> bool:
    """Whether a daemon answers this user."""
    return system.run("docker", "version", "--format", "{{.Server.Version}}").code == 0


def context(system: System) -> tuple[str, str] | None:
    """The Docker context that leads elsewhere than the engine's usual socket: its name, and the endpoint ("" where Docker does not
    know it). None where no other is chosen, by DOCKER_CONTEXT or by `docker context use`. DOCKER_HOST goes before both."""
    if system.environ.get("DOCKER_HOST"):
        return None
    folder = system.environ.get("DOCKER_CONFIG") or f"{system.environ.get('HOME', '')}/.docker"
    try:
        used = json.loads(system.read(f"{folder}/config.json") or "{}").get("currentContext")
    except (ValueError, AttributeError):
        used = None
    name = system.environ.get("DOCKER_CONTEXT") or used or "default"
    if name == "default":
        return None
    return name, system.run("docker", "context", "inspect", name, "--format", "{{.Endpoints.docker.Host}}").out


def chosen(system: System) -> dict[str, str | None]:
    """Variables by which `docker` and Pulumi's provider, which reads no context, ask the same engine, always one of this machine."""
    found = context(system)
    if found is None:
        return {}
    _, endpoint = found
    return {"DOCKER_CONTEXT": None, "DOCKER_HOST": endpoint if endpoint.startswith(LOCAL) else f"{LOCAL}{SOCKET}"}


def data_root(system: System) -> Path:
    """Where the daemon keeps images and volumes: daemon.json's `data-root`, or Docker's default."""
    try:
        settings = json.loads(system.read("/etc/docker/daemon.json") or "{}")
        return system.path(settings.get("data-root", "/var/lib/docker"))
    except (ValueError, AttributeError):
        return system.path("/var/lib/docker")


def start(system: System, cache: Cache) -> None:
    """Start the installed daemon, by systemd where it runs the machine, else as a process of its own."""
    log = cache.log("dockerd")
    log.parent.mkdir(parents=True, exist_ok=True)
    if system.read("/proc/1/comm").strip() == "systemd":
        system.work("starting Docker", "systemctl", "enable", "--now", "docker", log=log)
    elif not _daemon_lives(system):
        system.start_daemon("dockerd", log=log)
    give_up = time.monotonic() + START_SECONDS
    while not answers(system):
        if time.monotonic() > give_up:
            said = system.run("docker", "version").err
            raise SetupError(f"the Docker daemon does not answer after {START_SECONDS:g} s: {said}; see {log}")
        time.sleep(POLL_SECONDS)


def _install(system: System, cache: Cache) -> None:
    apt.install(system, cache, "docker.io")
    start(system, cache)


def _unstartable(system: System) -> str | None:
    """Why an installed engine cannot be started, or None."""
    said = system.run("docker", "version").err
    if "permission denied" in said:
        return f"it runs, but {SOCKET} refuses this user"
    if system.which("dockerd") is None or system.which("docker") is None:
        return "none is installed"
    if not system.is_root:
        return "it does not run, and starting it needs root"
    return None


def _daemon_lives(system: System) -> bool:
    """Whether a daemon is starting already: a package's init script may have begun it behind our back."""
    pid = system.read("/var/run/docker.pid").strip()
    return bool(pid) and system.read(f"/proc/{pid}/comm").strip() == "dockerd"
