"""What is left of an environment's volumes on this machine, seen before Pulumi is asked to do anything."""

from __future__ import annotations

import subprocess

from environment import names
from environment.errors import UNCHANGED, KeelError
from environment.manifest import HostEntry, Manifest
from environment.recovery import RECOVERIES
from environment.types import Group, Provider

VOLUMES = {
    Group.POSTGRES: ("postgresql", names.POSTGRES_VOLUME),
    Group.ETCD: ("etcd", names.ETCD_VOLUME),
    Group.REDIS: ("redis", names.REDIS_VOLUME),
    Group.BACKUP: ("pgbackrest", names.BACKUP_VOLUME),
}
"""What outlives a container, by group: volume name and path."""


class DataLost(KeelError):
    """The databases' volumes are gone and the repository's is there: what to do."""


def of_host(entry: HostEntry) -> list[tuple[str, str]]:
    """Volume name and path of each of the host's volumes, in the order they are made."""
    return [volume for group, volume in VOLUMES.items() if entry.carries(group)]


def full_name(manifest: Manifest, host: HostEntry, volume: str) -> str:
    """The volume's name for Docker."""
    return f"keel-{manifest.identity.name}-{host.name}-{volume}"


def refuse_lost_data(manifest: Manifest) -> None:
    """Raise DataLost where the repository outlived every database and no recovery is ordered, or one that acted already.

    Pulumi's state may still hold what is gone: an `up` would then change nothing and call it a success.
    """
    if manifest.identity.provider is not Provider.DOCKER:
        return
    there = _existing(manifest.identity.name)
    repository = full_name(manifest, manifest.repository_host, VOLUMES[Group.BACKUP][0])
    data = [full_name(manifest, host, VOLUMES[Group.POSTGRES][0]) for host in manifest.carrying(Group.POSTGRES)]
    if repository not in there or there & set(data):
        return
    token = manifest.recovery.token if manifest.recovery else None
    if token and not _acted(repository, token):
        return
    name = manifest.identity.name
    used = f"keel:recovery.token {token!r} has brought them back once already: a token acts once. " if token else ""
    raise DataLost(
        (
            f"the volumes of the databases ({', '.join(data)}) are gone and the repository's ({repository}) is "
            "there. An empty cluster is not made over it"
        ),
        UNCHANGED,
        (
            f"{used}To bring everything back from the repository:\n"
            f"  pulumi config set --path keel:recovery.token {'a-new-token' if token else 'first-rebuild'} -s {name} "
            f"&& make up ENV={name}"
        ),
    )


def _acted(repository: str, token: str) -> bool:
    """True if the volume remembers a recovery with this token. Where no image is there to look with, this machine never ran
    the environment, and the step `recovery` asks again before any database starts."""
    images = ["docker", "image", "ls", "-q", "--filter", f"label={names.IMAGE_LABEL}"]
    found = subprocess.run(images, capture_output=True, text=True, check=True).stdout.split()
    look = ["docker", "run", "--rm", "--network", "none", "-v", f"{repository}:/repository:ro", "--entrypoint", "test"]
    return bool(found) and subprocess.run([*look, found[0], "-e", f"/repository/{RECOVERIES}/{token}"]).returncode == 0


def _existing(environment: str) -> set[str]:
    listed = ["docker", "volume", "ls", "-q", "--filter", f"label={names.LABEL}={environment}"]
    try:
        return set(subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split())
    except (FileNotFoundError, subprocess.CalledProcessError):
        return set()  # no engine: Pulumi will say so
