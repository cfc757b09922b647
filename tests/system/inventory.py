"""What an environment could leave behind on the machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cryptography import x509

from ops.hosts.docker import docker
from ops.hosts.session import PREFIX

LISTINGS = {
    "containers": ("ps", "-a", "--format", "{{.Names}}"),
    "volumes": ("volume", "ls", "--format", "{{.Name}}"),
    "networks": ("network", "ls", "--format", "{{.Name}}"),
}
FOLDERS = (Path(tempfile.gettempdir()), Path("/dev/shm"))


def leftovers(environment: str) -> dict[str, list[str]]:
    """Kind → what bears the environment's name, and its sessions whose processes are gone; empty when nothing is left."""
    found = {kind: [n for n in docker(*listing).splitlines() if environment in n] for kind, listing in LISTINGS.items()}
    files = [path for folder in FOLDERS for path in folder.glob("keel-*")]
    found["files"] = [str(path) for path in files if environment in path.name or _abandoned(path, environment)]
    return {kind: names for kind, names in found.items() if names}


def images() -> frozenset[str]:
    """Every host image there is, by its id. The database tests, which run at the same time, build others."""
    return frozenset(docker("images", "-q", "--no-trunc", "--filter", "label=keel.image=host").split())


def _abandoned(path: Path, environment: str) -> bool:
    """Whether it is a session with this environment, of a process that is gone. Its authority bears the environment's name."""
    if not path.name.startswith(PREFIX) or Path("/proc", path.name.removeprefix(PREFIX).partition("-")[0]).exists():
        return False
    try:
        authority = x509.load_pem_x509_certificate((path / "ca.crt").read_bytes())
    except (FileNotFoundError, ValueError):
        return False  # not written yet, or another process has removed it meanwhile
    return environment in authority.subject.rfc4514_string()
