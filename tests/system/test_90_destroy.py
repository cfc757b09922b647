"""The end: everything is removed, and the machine is as it was."""

from __future__ import annotations

from ops.docker import docker
from tests.system.environments import Ephemeral
from tests.system.inventory import Inventory, take_inventory


def test_destroy_leaves_nothing(dev: Ephemeral, ci: Ephemeral, before: Inventory) -> None:
    """PLAT-48: containers, volumes, networks, images and files are those from before the first environment."""
    images = {docker("inspect", "-f", "{{.Config.Image}}", e.container(h)) for e, h in ((dev, "ops1"), (ci, "all1"))}
    dev.destroy()
    ci.destroy()
    for image in images:
        # Images are shared by environments and kept for the next one; the one that only this run asked for goes.
        if not any(image.removeprefix("sha256:")[:12] in known for known in before.images):
            docker("rmi", image)
    assert take_inventory().added(before) == {}
