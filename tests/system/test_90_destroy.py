"""The end: everything is removed, and the machine is as it was."""

from __future__ import annotations

from tests.system.environments import Ephemeral
from tests.system.inventory import Inventory, take_inventory


def test_destroy_leaves_nothing(dev: Ephemeral, ci: Ephemeral, before: Inventory) -> None:
    """PLAT-48: containers, volumes, networks, images and files are those from before the first environment."""
    dev.destroy()
    ci.destroy()
    assert take_inventory().added(before) == {}
