"""What tests of the planner share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from db.load_rows import populate
from db.populate import Size
from environment.products import Product
from tools.scratch_server import Server


@pytest.fixture(scope="module")
def application(server: Server, product: Product, at_head: str) -> Iterator[psycopg.Connection[Any]]:
    """The session of the application of a module's ``product``, among a tenth of the rows of its document."""
    populate(product, at_head, Size.MEDIUM, seed=1, progress=lambda *_: None, replace=True)
    with server.connect(product.name, product.app_role) as connection:
        yield connection
