"""The virtual environment with Keel's Python dependencies, each pinned and hashed."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from . import apt
from .cache import Cache, digest
from .steps import GB, Need, Step, Way
from .system import System

SIZE = GB // 2  # 0.23 GB measured, and as much again while pip unpacks


def folder(cache: Cache, requirements: Path) -> Path:
    """The environment for these requirements and this interpreter (its installation and minor version)."""
    return cache.root / f"venv-{digest([requirements], sys.base_prefix, str(sys.implementation.cache_tag))}"


def step(system: System, cache: Cache, requirements: Path) -> Step:
    """A virtual environment cannot be moved, so it is built in place and marked complete at the end."""
    target = folder(cache, requirements)
    complete = target / ".complete"

    def done() -> bool:
        return complete.exists() and (target / "bin/python").exists()

    def obstacle() -> str | None:
        if has_ensurepip():
            return None
        refused = apt.obstacle(system)
        return refused and f"{sys.executable} has no ensurepip, and {refused}"

    def go() -> None:
        log = cache.log("venv")
        if not has_ensurepip():
            apt.install(system, cache, "python3-venv")
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        system.work("making the virtual environment", sys.executable, "-m", "venv", str(target), log=log)
        pip = (str(target / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off")
        system.work("installing Python packages", *pip, "--require-hashes", "-r", str(requirements), log=log)
        complete.touch()

    return Step(
        "Python environment",
        done,
        [Way("pip, from PyPI", obstacle, go, lambda: (Need(cache.root, SIZE),))],
        "Install Python's venv module (Debian: apt-get install python3-venv) and run this again.",
    )


def has_ensurepip() -> bool:
    """Debian splits this module off into python3-venv; without it a virtual environment has no pip."""
    return importlib.util.find_spec("ensurepip") is not None
