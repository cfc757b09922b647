"""Pulumi's plugin for Docker, of the version its Python SDK asks for."""

from __future__ import annotations

from pathlib import Path

from . import pulumi_cli
from .cache import Cache
from .errors import SetupError
from .gomodule import GoProgram
from .steps import GB, Need, Step, Way
from .system import System

PLUGIN = GoProgram(Path(__file__).parent / "pulumi-resource-docker", ".")
BUILD_SIZE = 2 * GB  # what Go's caches still grow by after Pulumi itself


def version(requirements: Path) -> str:
    """The plugin's version is the SDK's, as pinned in requirements.txt."""
    for line in requirements.read_text().splitlines():
        if line.startswith("pulumi-docker=="):
            return line.removeprefix("pulumi-docker==").split()[0]
    raise SetupError(f"{requirements} does not pin pulumi-docker")


def step(system: System, cache: Cache, requirements: Path, after: Step | None = None) -> Step:
    """The user's own plugin, the vendor's download, or the build from Go modules."""
    wanted = version(requirements)
    installed = f"plugins/resource-docker-v{wanted}/{PLUGIN.name}"
    own = Path(system.environ.get("HOME", "/")) / ".pulumi" / installed

    def done() -> bool:
        # Pulumi marks a download that was cut off with a file of this name and repeats it.
        folder = (cache.pulumi_home / installed).parent
        return (folder / PLUGIN.name).exists() and not folder.with_name(folder.name + ".partial").exists()

    def room() -> tuple[Need, ...]:
        return (Need(cache.root, GB // 2),)

    def install(*source: str) -> None:
        system.work(
            f"installing the plugin docker {wanted}",
            *(str(pulumi_cli.folder(cache) / "pulumi"), "plugin", "install", "resource", "docker", wanted),
            *source,
            log=cache.log(PLUGIN.name),
            env={"PULUMI_HOME": str(cache.pulumi_home), "PULUMI_SKIP_UPDATE_CHECK": "true"},
        )

    def unanswered() -> str | None:
        return None if system.answers(pulumi_cli.VENDOR) else f"{pulumi_cli.VENDOR} does not answer"

    return Step(
        f"Pulumi's plugin docker {wanted}",
        done,
        [
            Way(
                "the installed one",
                lambda: None if own.exists() else f"{own} does not exist",
                lambda: install("--file", str(own)),
                room,
            ),
            Way("Pulumi's download", unanswered, install, room),
            Way(
                "a build from Go modules",
                lambda: PLUGIN.obstacle(system),
                lambda: install("--file", str(PLUGIN.build(system, cache))),
                lambda: (Need(pulumi_cli.go_home(system), BUILD_SIZE), *room()),
            ),
        ],
        "Make https://get.pulumi.com reachable or install Go, then run this again.",
        after,
    )
