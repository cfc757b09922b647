"""Sessions of ruleIQ's tests."""

from collections.abc import Iterator

import pytest

from environment.products import Product
from tests.db.ruleiq.sessions import Session
from tests.db.ruleiq.steps import Query
from tools.scratch_server import Server


@pytest.fixture
def query(server: Server, product: Product) -> Query:
    """Run a statement as superuser and give what comes back."""
    return lambda statement: server.execute(statement, product.name)


@pytest.fixture
def program(server: Server, product: Product, at_head: str) -> Iterator[Session]:
    """A superuser's session with the demo rows, to become API or worker in; rolled back in the end."""
    with server.connect(product.name) as connection:
        connection.execute(product.seed_file("demo").read_bytes())
        yield connection
        connection.rollback()
