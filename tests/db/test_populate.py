"""The rows that products are filled with: as many as asked for, valid, the same for the same seed."""

import pytest

from db import migrate
from db.filling import PopulateError, emptied, populate
from db.populate import Size, rows
from environment.products import Product, catalogue
from tests.db.server import Server


@pytest.fixture(
    scope="module", params=[name for name, product in catalogue().items() if (product.folder / "populate.py").exists()]
)
def product(request: pytest.FixtureRequest) -> Product:
    """Every product that has such rows."""
    return catalogue()[request.param]


def fill(product: Product, url: str, seed: int) -> dict[str, int]:
    """Small, over whatever is there; rows by table."""
    done = populate(product, url, Size.SMALL, seed=seed, progress=lambda *_: None, replace=True)
    return {table: made.rows for table, made in done.items()}


def contents(server: Server, product: Product) -> dict[str, str]:
    """Table → a digest of its rows, in the columns they were given: reference rows are as old as their insertion."""
    digest = "SELECT md5(string_agg(t::text, ' ' ORDER BY t::text COLLATE \"C\")) FROM (SELECT {} FROM {}) t"
    return {
        table.table: server.execute(
            digest.format(", ".join(f'"{name}"' for name in table.columns), table.table), product.name
        )[0][0]
        for table in rows(product, Size.SMALL)
    }


def test_rows_keep_every_rule_and_depend_on_the_seed_alone(server: Server, product: Product, at_head: str) -> None:
    """BAC-33, CF-26: COPY checks every constraint, none of them is left unvalidated; then only the seed matters."""
    not_valid = "SELECT conname FROM pg_constraint WHERE NOT convalidated AND connamespace = 'public'::regnamespace"
    assert server.execute(not_valid, product.name) == []
    migrate.seed(product, at_head, "reference", production=False)
    reference = emptied(product, at_head, Size.SMALL)
    asked = {table.table: table.count for table in rows(product, Size.SMALL)}
    assert fill(product, at_head, 1) == asked
    there = emptied(product, at_head, Size.SMALL)
    assert {table: there[table] - reference[table] for table in asked} == asked
    first = contents(server, product)

    with pytest.raises(PopulateError, match=rf"{product.name}: table \w+ has \d+ rows already.*\n?.*--replace"):
        populate(product, at_head, Size.SMALL, seed=1, progress=lambda *_: None)
    fill(product, at_head, 1)
    assert contents(server, product) == first
    fill(product, at_head, 2)
    assert contents(server, product) != first
