"""The rows that products are filled with: as many as asked for, valid, the same for the same seed; and what the
products' queries make of them."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from db import migrate
from db.load_rows import PopulateError, emptied, populate
from db.populate import Size, rows
from db.queries import IDENTITY, Query, queries, run, samples, used_indexes
from environment.products import Product, catalogue
from tools.scratch_server import Server

VOLATILE = """
select format('%s.%s', c.relname, a.attname), c.relname::text, a.attname::text
from pg_attrdef d join pg_class c on c.oid = adrelid
join pg_attribute a on a.attrelid = c.oid and a.attnum = adnum
where c.relnamespace = 'public'::regnamespace and pg_get_expr(adbin, adrelid) ~ 'now|random|uuid|timestamp|date'
"""
"""Columns whose default depends on the moment or on chance."""


@pytest.fixture(
    scope="module", params=[name for name, product in catalogue().items() if (product.folder / "populate.py").exists()]
)
def product(request: pytest.FixtureRequest) -> Product:
    """Every product that has such rows."""
    return catalogue()[request.param]


LARGE = {
    "ai_assistant": {"rules": 100_000, "practices": 100_000, "templates": 100_000},
    "bacopilot": {"users": 10_000, "documents": 100_000, "messages": 1_000_000},
    "componentforge": {
        "users": 10_000, "documents": 100_000, "document_chunks": 1_000_000, "conversations": 100_000,
        "messages": 1_000_000, "embedding_models": 100, "evaluation_runs": 10_000, "requirement_exports": 100_000,
    },
}  # fmt: skip
"""ComponentForge's are its document's upper estimates."""


@pytest.mark.parametrize("name", LARGE)
def test_large_is_as_many_as_the_document_says(name: str) -> None:
    """BAC-33, CF-26: the numbers themselves; medium is a tenth and small a hundredth of them, but never one row alone."""
    for size, part in ((Size.LARGE, 1), (Size.MEDIUM, 10), (Size.SMALL, 100)):
        made = {table.table: table.count for table in rows(catalogue()[name], size)}
        for table, count in LARGE[name].items():
            assert made[table] == max(2, count // part), f"{table}, {size}"


@pytest.fixture(scope="module")
def filled(product: Product, at_head: str) -> tuple[str, dict[str, int], dict[str, int]]:
    """The migrator's URL of a small database, rows by table that were there before, and those that were made."""
    migrate.seed(product, at_head, "reference", production=False)
    reference = emptied(product, at_head, Size.SMALL)
    return at_head, reference, fill(product, at_head, 1)


def fill(product: Product, url: str, seed: int) -> dict[str, int]:
    """Small, over whatever is there; rows by table."""
    done = populate(product, url, Size.SMALL, seed=seed, progress=lambda *_: None, replace=True)
    return {table: made.rows for table, made in done.items()}


def contents(server: Server, product: Product, reference: dict[str, int]) -> dict[str, str]:
    """Table → a digest of its rows, in the columns they were given; reference rows are as old as their insertion."""
    digest = sql.SQL("SELECT md5(string_agg(t::text, ' ' ORDER BY t::text COLLATE \"C\")) FROM (SELECT {} FROM {}) t")
    volatile = {(table, column) for _, table, column in server.execute(VOLATILE, product.name) if reference.get(table)}
    found = {}
    with server.connect(product.name) as connection:
        for table in rows(product, Size.SMALL):
            kept = [column for column in table.columns if (table.table, column) not in volatile]
            columns = sql.SQL(", ").join(map(sql.Identifier, kept))
            row = connection.execute(digest.format(columns, sql.Identifier(table.table))).fetchone()
            found[table.table] = str(row)
    return found


def test_rows_keep_every_rule_and_depend_on_the_seed_alone(
    server: Server, product: Product, filled: tuple[str, dict[str, int], dict[str, int]]
) -> None:
    """BAC-33, CF-26: COPY checks every constraint, none of them is left unvalidated; then only the seed matters."""
    url, reference, made = filled
    not_valid = "SELECT conname FROM pg_constraint WHERE NOT convalidated AND connamespace = 'public'::regnamespace"
    assert server.execute(not_valid, product.name) == []
    assert made == {table.table: table.count for table in rows(product, Size.SMALL)}
    there = emptied(product, url, Size.SMALL)
    assert {table: there[table] - reference[table] for table in made} == made
    first = contents(server, product, reference)

    with pytest.raises(PopulateError, match=rf"{product.name}: table \w+ has \d+ rows already.*\n?.*--replace"):
        populate(product, url, Size.SMALL, seed=1, progress=lambda *_: None)
    fill(product, url, 1)
    assert contents(server, product, reference) == first
    fill(product, url, 2)
    assert contents(server, product, reference) != first


def test_no_value_is_left_to_the_moment(server: Server, product: Product, at_head: str) -> None:
    """BAC-33: what the database would choose by the clock or by chance, the rows bring along."""
    given = {table.table: table.columns for table in rows(product, Size.SMALL)}
    volatile = server.execute(VOLATILE, product.name)
    assert [name for name, table, column in volatile if table in given and column not in given[table]] == []


@pytest.fixture
def application(
    server: Server, product: Product, filled: tuple[str, dict[str, int], dict[str, int]]
) -> "Iterator[psycopg.Connection[Any]]":
    """The application, with rows of all tenants to be kept from it."""
    with server.connect(product.name, product.app_role) as connection:
        # A hundredth of the rows: without this the planner would rightly read small tables whole.
        connection.execute(b"set enable_seqscan = off")
        connection.commit()
        yield connection


def test_queries_find_their_rows_by_their_indexes(
    server: Server, product: Product, application: "psycopg.Connection[Any]"
) -> None:
    """RIQ-33, CF-35, ADA-42, PLAT-17: each finds something for its tenant, and its plan has an index named for it."""
    with server.connect(product.name, product.migrator_role) as migrator:
        given = {query: samples(migrator, query)[:20] for query in queries(product)}
    assert given, f"db/{product.name}/queries.yaml has no query"
    wrong = {query.name: _wrong(product, query, given[query], application) for query in given}
    assert {name: said for name, said in wrong.items() if said} == {}


def _wrong(
    product: Product, query: Query, given: list[dict[str, Any]], application: "psycopg.Connection[Any]"
) -> str | None:
    if not given:
        return "no parameters were found among the rows"
    if product.identity_type and IDENTITY not in given[0]:
        return f"its parameters have no {IDENTITY}"
    found = 0
    for parameters in given:
        found += len(run(application, query.sql, parameters).fetchall())
        application.commit()
    used = used_indexes(application, query, given[0])
    application.rollback()
    (left,) = application.execute(b"select current_setting('app.current_user_id', true)").fetchone() or ("",)
    application.rollback()
    if left:
        return "whom it ran for is still set after its transaction"
    if not found:
        return "no row for any of its parameters"
    return None if used & set(query.indexes) else f"the plan uses {sorted(used)}, none of {list(query.indexes)}"
