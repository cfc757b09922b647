"""How the matrix makes one tenant's rows: each product says it in `tests/rls/<name>.py` as `ROWS`."""

import importlib
from dataclasses import dataclass

from environment.products import Product


@dataclass(frozen=True)
class Row:
    """One row of a tenant's.

    Statements take `%(identity)s`, the tenant's id, `%(tag)s`, a text nobody else has, and the keys of rows
    before it by table: `%(conversations)s`. `move` takes the other tenant's by `%(other_identity)s`,
    `%(other_conversations)s`.
    """

    insert: str
    """Run as the application, one statement or more, parted by `; `; the last returns the row's key. For the root of identities it is the registration
    function of PLAT-18, run before there is an identity, and its result is the identity."""
    key: str
    """The primary key's column."""
    change: str
    """A SET clause that is allowed to the owner of the row: `title = title || '!'`."""
    move: str
    """A SET clause that would hand the row to the other tenant; must be refused."""


def rows(product: Product) -> dict[str, Row]:
    """The product's tenant tables, parents first."""
    made: dict[str, Row] = importlib.import_module(f"tests.rls.{product.name}").ROWS
    return made
