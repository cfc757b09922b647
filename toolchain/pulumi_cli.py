"""Pulumi's command with its Python language host, as a folder that holds all four programs of it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from .cache import Cache, digest, whole
from .errors import SetupError
from .gomodule import GoProgram
from .steps import GB, Need, Step, Way
from .system import System

HERE = Path(__file__).parent
SDK = "github.com/pulumi/pulumi/sdk/v3"
PKG = "github.com/pulumi/pulumi/pkg/v3"
VENDOR = "https://get.pulumi.com"
OLDEST = (3, 200)  # an installed Pulumi must at least be this, for stackConfigDir and provider configuration

CLI = GoProgram(HERE / "pulumi", f"{PKG}/cmd/pulumi", f"{SDK}/go/common/version.Version", PKG)
LANGUAGE_HOST = GoProgram(HERE / "pulumi-language-python", f"{SDK}/python/cmd/pulumi-language-python")

# The language host starts programs through the third file and dynamic resources through the fourth, which it
# looks for beside itself: so they are one folder. Paths are those in the SDK's Go module.
SCRIPTS = {
    "pulumi-language-python-exec": "python/cmd/pulumi-language-python-exec",
    "pulumi-resource-pulumi-python": "python/dist/pulumi-resource-pulumi-python",
}
PARTS = (CLI.name, LANGUAGE_HOST.name, *SCRIPTS)

# Go's module and build caches grew by 5.1 GB for the three programs together; these two take the larger part.
BUILD_SIZE = 4 * GB
VENDOR_SIZE = GB  # the archive and what it unpacks to


def folder(cache: Cache) -> Path:
    """The folder with the four programs, for the versions this checkout pins."""
    return cache.root / f"pulumi-{digest([*CLI.sources, *LANGUAGE_HOST.sources])}"


def step(system: System, cache: Cache) -> Step:
    """The installed Pulumi, the official installer, or the build from Go modules."""
    target = folder(cache)

    def done() -> bool:
        return all((target / part).exists() for part in PARTS)

    def unbuildable() -> str | None:
        return CLI.obstacle(system) or LANGUAGE_HOST.obstacle(system)

    def unanswered() -> str | None:
        return None if system.answers(VENDOR) else f"{VENDOR} does not answer"

    return Step(
        "Pulumi",
        done,
        [
            Way("the installed one", lambda: _unsuitable(system), lambda: _link(system, target)),
            Way(
                "the official installer",
                unanswered,
                lambda: _install(system, cache, target),
                lambda: (Need(cache.root, VENDOR_SIZE),),
            ),
            Way(
                "a build from Go modules",
                unbuildable,
                lambda: _build(system, cache, target),
                lambda: (Need(go_home(system), BUILD_SIZE), Need(cache.root, GB // 2)),
            ),
        ],
        "Install Pulumi (https://www.pulumi.com/docs/install) or Go, then run this again.",
    )


def _unsuitable(system: System) -> str | None:
    """Why a Pulumi on PATH cannot be used, or None."""
    found = system.which("pulumi")
    if found is None:
        return "no pulumi on PATH"
    missing = [part for part in PARTS if not (found.resolve().parent / part).exists()]
    if missing:
        return f"{found} has no {missing[0]} next to it"
    version = re.match(r"v?(\d+)\.(\d+)", system.run("pulumi", "version").out)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        return f"{found} is older than {OLDEST[0]}.{OLDEST[1]}"
    return None


def _link(system: System, target: Path) -> None:
    found = system.which("pulumi")
    assert found is not None, "the obstacle was asked before"
    with whole(target) as part:
        for name in PARTS:
            (part / name).symlink_to(found.resolve().parent / name)


def _install(system: System, cache: Cache, target: Path) -> None:
    """Run the vendor's script, with orders to leave the user's shell profile and ~/.pulumi alone."""
    script = system.fetch(VENDOR)
    version = CLI.required(PKG).removeprefix("v")
    with whole(target) as part:
        installer = part / "install.sh"
        installer.write_text(script)
        system.work(
            f"installing Pulumi {version}",
            *("sh", str(installer), "--version", version, "--install-root", str(part), "--no-edit-path"),
            log=cache.log("pulumi-installer"),
        )
        installer.unlink()
        for name in PARTS:
            if not (part / "bin" / name).exists():
                raise SetupError(f"the installer brought no {name}")
            (part / "bin" / name).rename(part / name)


def _build(system: System, cache: Cache, target: Path) -> None:
    built = [program.build(system, cache) for program in (CLI, LANGUAGE_HOST)]
    sdk = CLI.source_of(system, SDK)
    with whole(target) as part:
        for binary in built:
            os.link(binary, part / binary.name)
        for name, path in SCRIPTS.items():
            shutil.copyfile(sdk / path, part / name)
            (part / name).chmod(0o755)


def go_home(system: System) -> Path:
    """Where Go keeps modules; its build cache is taken to be on the same file system."""
    return Path(system.run("go", "env", "GOMODCACHE", cwd=Path("/")).out or system.environ.get("HOME", "/"))
