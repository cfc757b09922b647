"""Who may hold how many connections (PLAT-20, W9)."""

from __future__ import annotations

import pytest

from environment.budget import RESERVED, LookUps, connections, looking_up
from environment.types import Group
from tests.roles.targets import manifest_of

STACKS = ("dev", "ci", "staging", "production")


@pytest.mark.parametrize("stack", STACKS)
def test_the_sum_of_all_products_leaves_keel_its_own(stack: str) -> None:
    """PLAT-20: every product at its limit, in its pools and past them, with all its logins."""
    manifest = manifest_of(stack)
    postgres, edges = manifest.postgres, len(manifest.carrying(Group.EDGE))
    products = sum(share.database for share in connections(manifest).values())
    room = postgres.max_connections - postgres.superuser_reserved_connections
    assert products + edges * looking_up(manifest.pgbouncer).server <= room
    pools = sum(share.pooled for share in connections(manifest).values())
    assert pools <= room - RESERVED, "the pools are what every product is promised"


@pytest.mark.parametrize("stack", STACKS)
def test_no_login_takes_its_migrations_room(stack: str) -> None:
    """The pools are whole for whichever login asks, and next to it a migration and a dump still find their place."""
    for share in connections(manifest_of(stack)).values():
        assert share.pooled <= share.login <= share.database - 2
        assert share.migrator >= 2


def test_of_dev() -> None:
    """One edge, a reserve of 15 for five products."""
    jeex = connections(manifest_of("dev"))["jeex_idea"]
    assert (jeex.pooled, jeex.database, jeex.login, jeex.migrator) == (24, 27, 25, 3)


def test_every_edge_brings_its_pools() -> None:
    """Of production's two edges, each opens as many."""
    jeex = connections(manifest_of("production"))["jeex_idea"]
    assert jeex.pooled == 2 * (30 + 8)


@pytest.mark.parametrize(("given", "shared"), [(1, (1, 1)), (2, (1, 1)), (3, (2, 1)), (8, (4, 4))])
def test_half_of_the_look_ups_are_for_those_who_read(given: int, shared: tuple[int, int]) -> None:
    """PLAT-20, PLAT-22: each of both may lead to the same server."""
    settings = manifest_of("dev").pgbouncer.model_copy(update={"lookup_connections": given})
    assert looking_up(settings) == LookUps(*shared)
    assert looking_up(settings).server == sum(shared)
