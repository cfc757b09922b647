"""What BA Copilot's application can plant where it may create, and that no one with more power runs it (W0, BAC-11)."""

from __future__ import annotations

import psycopg
import pytest

from db import provision
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
    since = server.logged
    for spec in (DEV, HEAD):
        provisioned(server, spec)
    ran = planting.evaluations(server.log(since))
    assert not [str(each) for each in ran if each.power or each.gains]
    with server.connect() as connection:
        assert planting.powers(connection) == before


def test_what_an_application_made_stays_its_own(server: Server, product: Product, fresh: str) -> None:
    """W0, BAC-11, X-28: a view, a rule or an index expression runs as the owner of its relation, so none is given to the owner."""
    provisioned(server, DEV)
    with server.connect(product.name, product.app_role) as connection:
        connection.execute("create view public.planted as select * from public.document_versions")
        connection.execute("grant all on public.planted to public")
    provisioned(server, DEV)
    told = [change.what for change in provision.plan(server.superuser, server.look, DEV) if change.told]
    assert any(f"public.planted in {product.name} is {product.app_role}'s: it stays" in what for what in told)
    with (
        server.connect(product.name, product.app_role) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("delete from public.planted")
