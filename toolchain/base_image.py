"""The image `debian:<suite>` that container hosts are built from, under that name whatever its origin."""

from __future__ import annotations

import shutil

from . import apt, engine, mirror
from .cache import Cache, scratch
from .errors import SetupError
from .steps import GB, Need, Step, Way
from .system import System

REGISTRY = "https://registry-1.docker.io/v2/"
SUITES = ("bookworm", "trixie", "forky")
BOOTSTRAP_SIZE = GB  # the tree (0.3 GB), its archive, and what apt may fetch for debootstrap itself
# Base image 0.2 GB, host image 0.9 GB and its successor during a replacement, volumes of two environments.
DOCKER_SIZE = 5 * GB

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SCRIPTS = "/usr/share/debootstrap/scripts"


def step(system: System, cache: Cache, suite: str, after: Step | None = None) -> Step:
    """The image that is there, the registry's, or one made from packages."""
    image = f"debian:{suite}"

    def room() -> tuple[Need, ...]:
        return (Need(engine.data_root(system), DOCKER_SIZE),)

    return Step(
        f"base image {image}",
        lambda: system.run("docker", "image", "inspect", "--format", "{{.Id}}", image).code == 0,
        [
            Way(
                "docker pull",
                lambda: None if system.answers(REGISTRY) else f"{REGISTRY} does not answer",
                lambda: system.work(f"pulling {image}", "docker", "pull", image, log=cache.log("docker-pull")),
                room,
            ),
            Way(
                "debootstrap, from the Debian mirror",
                lambda: _unbootable(system),
                lambda: _bootstrap(system, cache, suite, image),
                lambda: (Need(cache.root, BOOTSTRAP_SIZE), *room()),
            ),
        ],
        f"Make {REGISTRY} reachable, or run this as root on Debian or Ubuntu, or `docker load` {image}.",
        after,
    )


def _unbootable(system: System) -> str | None:
    """Why debootstrap cannot be run, or None."""
    if not system.is_root:
        return "debootstrap needs root"
    return None if system.which("debootstrap") else apt.obstacle(system)


def _bootstrap(system: System, cache: Cache, suite: str, image: str) -> None:
    """Make a minimal system below a temporary folder and hand it to Docker."""
    log = cache.log(f"debootstrap-{suite}")
    if system.which("debootstrap") is None:
        apt.install(system, cache, "debootstrap", "debian-archive-keyring")
    archive, files = _apt_settings(system, suite)
    with scratch(cache.root, f"debootstrap-{suite}") as folder:
        tree = folder / "tree"
        # In a mount namespace of its own: however debootstrap ends, nothing stays mounted below the tree.
        system.work(
            f"bootstrapping Debian {suite}",
            *("unshare", "--mount", "debootstrap", "--variant=minbase", "--include=ca-certificates"),
            *(suite, str(tree), archive, script(system, suite)),
            log=log,
        )
        shutil.rmtree(tree / "var/lib/apt/lists")
        for package in (tree / "var/cache/apt/archives").glob("*.deb"):
            package.unlink()
        (tree / "etc/apt/sources.list").unlink(missing_ok=True)
        for name, text in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
        (tree / "usr/sbin/policy-rc.d").chmod(0o755)
        packed = folder / "tree.tar"
        system.work("packing the image", "tar", "-C", str(tree), "-cf", str(packed), ".", log=log)
        system.work(
            f"importing {image}",
            *("docker", "import", "--change", 'CMD ["bash"]', "--change", f"LABEL keel.base={suite}"),
            *(str(packed), image),
            log=log,
        )


def script(system: System, suite: str) -> str:
    """debootstrap's script for `suite`; a release younger than the machine's debootstrap is made like sid."""
    known = system.path(f"{SCRIPTS}/{suite}").exists()
    return f"{SCRIPTS}/{suite if known else 'sid'}"


def _apt_settings(system: System, suite: str) -> tuple[str, dict[str, str]]:
    """The archive to use, and the image's files for apt: sources as in Debian's own image."""
    main, security = mirror.archives(system)
    archive = next((a for a in (main, mirror.DEBIAN) if mirror.release_file(system, a, suite)), None)
    if archive is None:
        raise SetupError(f"neither {main} nor {mirror.DEBIAN} has the release {suite}")
    wanted = [(archive, suite), (archive, f"{suite}-updates"), (security, f"{suite}-security")]
    found = [(uri, name, text) for uri, name in wanted if (text := mirror.release_file(system, uri, name))]
    files = {
        "etc/apt/sources.list.d/debian.sources": "\n".join(
            f"Types: deb\nURIs: {uri}\nSuites: {name}\nComponents: main\nSigned-By: {KEYRING}\n"
            for uri, name, _ in found
        ),
        # As in Debian's own image: unpacking a service must not start it.
        "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
    }
    if any(mirror.expired(text) for _, _, text in found):
        files["etc/apt/apt.conf.d/80keel-frozen-mirror"] = 'Acquire::Check-Valid-Until "false";\n'
    return archive, files
