"""The compose file of docs/compose, with the image and the command of a test in place of the product's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from environment.load import ROOT
from ops.hosts.docker import docker
from tests.system.environments import Ephemeral
from toolchain.cache import Cache
from toolchain.gomodule import GoProgram
from toolchain.system import System

FILE = ROOT / "docs" / "compose" / "docker-compose.yml"
SERVICE = "backend"
CLIENT = Path(__file__).with_name("application.py")
PROGRAM = GoProgram(ROOT / "toolchain" / "docker-compose", "github.com/docker/compose/v2/cmd")
"""For machines that have no compose, as Debian 12: of a release that its engine understands. The build takes minutes, once."""


def program() -> list[str]:
    """The machine's `docker compose`, or one that is built from Go modules."""
    own = ["docker", "compose"]
    if subprocess.run([*own, "version"], capture_output=True).returncode == 0:
        return own
    return [str(PROGRAM.build(System(os.environ), Cache.of(os.environ)))]


def answer(environment: Ephemeral, folder: Path, asked: str) -> str:
    """What the service prints when it is started with ``asked``. ``folder`` gets the two files that people make first."""
    shutil.copy(FILE, folder)
    (folder / ".env").write_text(environment.keel("env", "bacopilot", "--from", "docker").stdout)
    (folder / "keel-ca.pem").write_text(environment.keel("ca").stdout)
    image = docker("inspect", "-f", "{{.Image}}", environment.container(next(iter(environment.config["keel:hosts"]))))
    # This machine's Python and the project's packages, read only: no image for them is pulled or built.
    needed = {Path("/usr"), Path(sys.base_prefix), Path(sys.prefix), CLIENT}
    mine = {
        "entrypoint": [sys.executable, "-I", str(CLIENT)],
        "command": [asked.replace("$", "$$")],
        "volumes": [f"{path}:{path}:ro" for path in sorted(needed)],
        "restart": "no",
    }
    (folder / "docker-compose.override.yml").write_text(yaml.safe_dump({"services": {SERVICE: mine}}))
    compose = [*program(), "--project-name", f"keel-{environment.name}-app"]
    variables = {**os.environ, "KEEL_ENV": environment.name, "BACKEND_IMAGE": image}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*compose, *arguments], cwd=folder, env=variables, capture_output=True, text=True, timeout=180
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done.stdout

    try:
        run("up", "--detach", "--pull", "never")
        container = run("ps", "--all", "--quiet", SERVICE).strip()
        status = docker("wait", container)
        said = run("logs", "--no-color", "--no-log-prefix", SERVICE)
        assert status == "0", said
        return said
    finally:
        run("down", "--timeout", "0")
