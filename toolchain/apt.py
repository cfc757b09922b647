"""Debian packages of the machine itself; only root may have them installed."""

from __future__ import annotations

from .cache import Cache
from .system import System


def obstacle(system: System) -> str | None:
    """Why packages cannot be installed here, or None."""
    if system.which("apt-get") is None:
        return "this is not a Debian or Ubuntu machine (no apt-get)"
    if not system.is_root:
        return "installing packages needs root"
    return None


def install(system: System, cache: Cache, *packages: str) -> None:
    """Install `packages` with what they recommend (docker.io's command is only recommended on Debian 13)."""
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    log = cache.log("apt")
    system.work("reading package lists", "apt-get", "update", "-q", log=log, env=quiet)
    system.work(f"installing {', '.join(packages)}", "apt-get", "install", "-q", "-y", *packages, log=log, env=quiet)
