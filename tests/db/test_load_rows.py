"""The engine behind `./keel db populate`, on rows of its own."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from alembic import command

from db import load_rows, migrate
from db.load_rows import PopulateError, populate
from db.populate import NoRows, Rows, Size, key, rows, text
from environment.products import Product
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("jeex_idea")

USERS = ("id", "email", "name")


def user(number: int, chance: Random) -> Sequence[Any]:
    return key("users", number), f"user{number}@keel.invalid", text(chance, 2)


def project(number: int, chance: Random) -> Sequence[Any]:
    return key("projects", number), text(chance, 3), key("users", chance.randrange(30))


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> list[Rows]:
    """What is to be made; a test may change it."""
    made = [Rows("users", USERS, 30, user), Rows("projects", ("id", "name", "created_by"), 200, project)]
    monkeypatch.setattr(load_rows, "rows", lambda *_: made)
    return made


@pytest.fixture
def url(fresh: str) -> str:
    """The migrator's URL of a database at head; this product has no reference rows."""
    return fresh


def fill(product: Product, url: str, *, seed: int = 1, replace: bool = False) -> dict[str, load_rows.Populated]:
    return populate(product, url, Size.SMALL, seed=seed, progress=lambda *_: None, replace=replace)


def counted(server: Server, product: Product) -> tuple[int, int]:
    """Users and projects."""
    found: tuple[int, int] = server.execute(
        "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM projects)", product.name
    )[0]
    return found


@pytest.mark.usefixtures("tables")
def test_progress_reaches_the_end_and_the_planner_knows(server: Server, product: Product, url: str) -> None:
    """BAC-33: every table is told from nothing to all, and has statistics afterwards."""
    told: list[tuple[str, int, int]] = []
    done = populate(product, url, Size.SMALL, seed=1, progress=lambda *what: told.append(what))
    assert told == [("users", 0, 30), ("users", 30, 30), ("projects", 0, 200), ("projects", 200, 200)]
    assert {table: made.rows for table, made in done.items()} == {"users": 30, "projects": 200}
    assert all(made.rate > 0 for made in done.values())
    estimates = "SELECT relname, reltuples FROM pg_class WHERE relname IN ('users', 'projects') ORDER BY 1"
    assert server.execute(estimates, product.name) == [("projects", 200), ("users", 30)]


def test_the_rows_of_a_table_do_not_depend_on_other_tables(
    server: Server, product: Product, url: str, tables: list[Rows]
) -> None:
    """Another table before it, the same rows."""
    names = "SELECT string_agg(name, ',' ORDER BY id) FROM projects"
    fill(product, url)
    first = server.execute(names, product.name)
    tables.insert(1, Rows("exports", ("id", "project_id"), 0, user))
    tables[0] = Rows("users", USERS, 31, user)
    fill(product, url, replace=True)
    assert server.execute(names, product.name) == first


@pytest.mark.usefixtures("tables")
def test_rows_that_are_there_are_not_touched_without_replace(server: Server, product: Product, url: str) -> None:
    """What replace removes is told before: the tables themselves, and those that refer to them."""
    migrate.seed(product, url, "demo", production=False)
    with pytest.raises(PopulateError, match=r"jeex_idea: table users has 2 rows already\. Nothing .*--replace"):
        fill(product, url)
    assert counted(server, product) == (2, 2)
    assert load_rows.emptied(product, url, Size.SMALL) == {
        "agent_executions": 1, "document_versions": 3, "exports": 1, "projects": 2, "users": 2,
    }  # fmt: skip
    fill(product, url, replace=True)
    assert counted(server, product) == (30, 200)
    assert set(load_rows.emptied(product, url, Size.SMALL).values()) == {0, 30, 200}


def test_replace_puts_reference_rows_back(
    server: Server, product: Product, url: str, tables: list[Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-30: they belong to the product, and are there after every migration."""
    reference = tmp_path / "reference.sql"
    reference.write_text("INSERT INTO users (email, name) VALUES ('support@keel.invalid', 'Support')")
    monkeypatch.setattr(Product, "seed_file", lambda *_: reference)
    fill(product, url, replace=True)
    assert counted(server, product) == (31, 200)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"number": 17, "row": (key("users", 17), "x" * 256, "Ada")}, r"users, row 17: value too long"),
        ({"number": 17, "row": (key("users", 17), "user3@keel.invalid", "Ada")}, r"users, row 17: duplicate key"),
        ({"number": 17, "row": (key("users", 17), "nul\0", "Ada")}, r"users, row 17: .*NUL"),
    ],
)
def test_a_row_that_is_refused_is_named_and_nothing_is_kept(
    server: Server, product: Product, url: str, tables: list[Rows], bad: dict[str, Any], said: str
) -> None:
    """In one transaction, also with replace: what was there before is there again."""
    migrate.seed(product, url, "demo", production=False)
    tables[0] = Rows("users", USERS, 30, lambda n, chance: bad["row"] if n == bad["number"] else user(n, chance))
    with pytest.raises(PopulateError, match=rf"jeex_idea: {said}(.|\n)*No row was kept and none removed"):
        fill(product, url, replace=True)
    assert counted(server, product) == (2, 2)


def test_a_child_without_its_parent_is_refused(server: Server, product: Product, url: str, tables: list[Rows]) -> None:
    """Foreign keys are checked at the end of the table: the database names the key."""
    tables[0] = Rows("users", USERS, 3, user)
    with pytest.raises(PopulateError, match=r"jeex_idea: projects: .*violates foreign key(.|\n)*is not present"):
        fill(product, url)
    assert counted(server, product) == (0, 0)


def test_numbers_go_on_behind_the_rows(server: Server, product: Product, url: str, tables: list[Rows]) -> None:
    """A row inserted afterwards does not meet the id of a row that brought its own."""
    server.execute(
        f"SET ROLE {product.owner_role}; CREATE TABLE serials (id serial PRIMARY KEY);"
        " CREATE TABLE identities (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY)",
        product.name,
    )
    tables += [Rows(table, ("id",), 5, lambda n, _: (n + 1,)) for table in ("serials", "identities")]
    fill(product, url)
    for table in ("serials", "identities"):
        assert server.execute(f"INSERT INTO {table} DEFAULT VALUES RETURNING id", product.name) == [(6,)]


@pytest.mark.usefixtures("tables")
def test_a_database_that_is_not_at_head_is_left_alone(server: Server, product: Product, empty: str) -> None:
    command.upgrade(migrate.config(product, empty), "002")
    with pytest.raises(
        PopulateError, match=rf"at revision 002_\w+, .* for {migrate.head(product)}\. Nothing was changed"
    ):
        fill(product, empty)
    assert counted(server, product) == (0, 0)


def test_a_product_without_such_rows_is_named(
    product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Product, "folder", tmp_path)
    with pytest.raises(NoRows, match=r"jeex_idea: db/jeex_idea/populate\.py does not exist"):
        rows(product, Size.SMALL)
