"""The end: everything is removed, and the machine is as it was."""

from __future__ import annotations

import pytest

from ops.hosts.docker import docker
from tests.gate.queues import LANES
from tests.system.environments import Ephemeral
from tests.system.inventory import images, leftovers


@pytest.mark.parametrize("like", LANES)
def test_destroy_leaves_nothing(like: str, request: pytest.FixtureRequest, before: frozenset[str]) -> None:
    """PLAT-48: containers, volumes, networks and files are gone, and the image that only this run asked for."""
    environment: Ephemeral = request.getfixturevalue(like)
    host = environment.environment.manifest.repository_host.name
    image = docker("inspect", "-f", "{{.Image}}", environment.container(host))
    # A plain `pulumi destroy` does the same, in more time where there are several hosts.
    environment.destroy(hard=len(environment.environment.manifest.hosts) > 1)
    if image not in before:
        docker("rmi", image)
    assert leftovers(environment.name) == {}
    # Only the environment `twin` asks for another image; it may be there while the others go.
    assert like != "twin" or images() <= before
