"""What BA Copilot's application can plant where it may create, and that no one with more power runs it (W0, BAC-11)."""

from __future__ import annotations

from db.spec import Migrated
from environment.products import Product
from tests.db.fixtures import only
from tests.planted import planting
from tools.scratch_server import Server, provisioned, spec_of

product = only("bacopilot")
HEAD = spec_of(migrated=Migrated.HEAD)
DEV = HEAD.model_copy(update={"development": True})


def test_an_application_that_may_create(server: Server, product: Product, fresh: str) -> None:
    """W0, BAC-11: operators and functions of an application, in the schema of its owner, run with no one's power but its own."""
    provisioned(server, DEV)
    with server.connect() as connection:
        before = planting.powers(connection)
    with server.connect(product.name, product.app_role) as connection:
        planted = [*planting.accepted(connection, planting.separately(product, product.app_role), keep=True)]
    assert any(b"create operator" in each for each in planted), "in dev it may create in public (BAC-11)"
    since = len(server.log())
    for spec in (DEV, HEAD):
        provisioned(server, spec)
    ran = planting.evaluations(server.log()[since:])
    assert not [str(each) for each in ran if each.power or each.gains]
    with server.connect() as connection:
        assert planting.powers(connection) == before
