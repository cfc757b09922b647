"""Whether database hosts reach the second repository: only while a cluster is made or restored (W5).

They come to it through pgBackRest's server on the backup host, and whoever is served by it can learn what it knows. So it
knows the keys of a store elsewhere for as long as they are needed, from a file in that host's memory.
"""

from __future__ import annotations

from environment.manifest import Manifest
from environment.types import Group
from ops.hosts.session import Session
from roles import paths


def serve_second(session: Session) -> None:
    """Let database hosts read every repository, until `hide_second` or the backup host's next start. Raises Unreachable."""
    if _through_the_host(session.manifest):
        copy = f"install -o postgres -g postgres -m 640 {paths.SCRATCH_CONFIG} {paths.SERVED_CONFIG}"
        session.run(session.manifest.repository_host.name, copy)


def hide_second(session: Session) -> None:
    """Let database hosts read the first repository alone again. Raises Unreachable."""
    if _through_the_host(session.manifest):
        session.run(session.manifest.repository_host.name, f"rm -f {paths.SERVED_CONFIG}")


def _through_the_host(manifest: Manifest) -> bool:
    """True where there is a second repository, and a database host that is not the backup host."""
    others = {host.name for host in manifest.carrying(Group.POSTGRES)} - {manifest.repository_host.name}
    return manifest.repository.second is not None and bool(others)
