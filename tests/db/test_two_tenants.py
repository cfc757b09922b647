"""The program behind `./keel db tenants`, on a real server: a wall that is gone is a sentence and never the end of the run."""

from __future__ import annotations

import pytest

from environment.products import Product
from tests.db.fixtures import only
from tests.rls.__main__ import findings
from tools.scratch_server import Server

product = only("jeex_idea")
HOLES = {
    "create policy hole on projects for select using (true)": "projects: select with other identity reaches the row",
    "drop policy projects_owner on projects": "table projects: no policy for SELECT",
    "alter table exports disable row level security": "exports: delete with other identity reaches the row",
    "revoke insert on projects from jeex_user": "the application cannot work as two tenants: permission denied",
    "create table secrets (id int)": "a table without a row in tests/rls/jeex_idea.py",
}


def found(server: Server, product: Product) -> list[str]:
    """As the application."""
    with server.connect(product.name, product.app_role) as connection:
        return findings(product, connection)


def test_at_head_nothing_is_found(server: Server, product: Product, fresh: str) -> None:
    """PLAT-15, PLAT-16: and nothing is left of the two."""
    assert found(server, product) == []
    assert server.execute("select count(*) from users", product.name) == [(0,)]


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_is_found(server: Server, product: Product, fresh: str, hole: str) -> None:
    """PLAT-15, PLAT-16: by what it lets through, also where the statements behind it meet what no look expects."""
    server.execute(hole, product.name)
    assert any(HOLES[hole] in sentence for sentence in found(server, product))
