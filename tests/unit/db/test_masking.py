"""Every personal column of every product has a mask; what has none, or changes its name, is known before a copy is made."""

from __future__ import annotations

import pytest

from db import masking
from db.masking import Column, NotMaskable
from environment.products import Product
from environment.products import catalogue as products
from keel_host import catalogue

TYPES = {
    "character varying": "varchar", "text": "text", "json": "json", "jsonb": "jsonb",
    "timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp",
}  # fmt: skip


def columns(product: Product) -> list[Column]:
    """As the recorded catalogue has them."""
    found = []
    for key, definition in catalogue.recorded(product.catalogue_file).items():
        if key.startswith("column "):
            table, _, name = key.removeprefix("column ").partition(".")
            declared = definition.partition(" default")[0].removesuffix(" not null")
            found.append(Column(table, name, TYPES.get(declared.partition("(")[0], declared), declared, None, False))
    return found


@pytest.mark.parametrize("name", products())
def test_every_personal_column_has_a_mask(name: str) -> None:
    """JEEX-35: one statement per table, every declared column in it."""
    product = products()[name]
    made = masking.statements(product, columns(product))
    assert set(made) == {table for table, facts in product.tables.items() if facts.pii}
    for table, statement in made.items():
        assert [c for c in product.tables[table].pii if f'"{c}" = (' not in statement.as_string(None)] == []


def test_a_truncated_name_is_the_same_column() -> None:
    """A database held at an old revision."""
    old = [Column("assessment_sessions", "questions_answe", "jsonb", "jsonb", None, False)]
    assert '"questions_answe" = (' in masking.statements(products()["ruleiq"], old)["assessment_sessions"].as_string(
        None
    )


def test_what_has_no_mask_is_told_at_once() -> None:
    found = [
        Column("users", "email", "inet", "inet", None, False),
        Column("users", "name", "size", "size", None, False, labels=("only",)),
    ]
    with pytest.raises(NotMaskable) as refused:
        masking.statements(products()["jeex_idea"], found)
    assert "users.email: nothing is known that a inet" in str(refused.value)
    assert "users.name: there is no other value than 'only'" in str(refused.value)
    assert "Nothing was changed" in str(refused.value)


def test_the_server_computes_generated_columns() -> None:
    found = [Column("users", "name", "tsvector", "tsvector", None, True)]
    assert masking.statements(products()["jeex_idea"], found) == {}


def test_a_list_of_values_comes_through_a_dump() -> None:
    """A restored database is no other one: PostgreSQL prints the same CHECK in two ways."""
    before = "CHECK (((role)::text = ANY ((ARRAY['user'::character varying, 'it''s'::character varying])::text[])))"
    after = (
        "CHECK (((role)::text = ANY (ARRAY[('user'::character varying)::text, ('it''s'::character varying)::text])))"
    )
    assert catalogue.differences({"constraint a.b": before}, {"constraint a.b": after}) == []
    assert catalogue.differences({"constraint a.b": before}, {"constraint a.b": after.replace("user", "root")}) != []


@pytest.mark.parametrize(
    ("major", "options"),
    [(15, ("-B",)), (16, ("-B",)), (17, ("-B",)), (18, ("-B", "--no-statistics"))],
)
def test_what_nobody_classified_is_left_out_of_a_copy(major: int, options: tuple[str, ...]) -> None:
    """JEEX-35: large objects of every version; statistics, which hold values, since pg_dump writes them."""
    assert masking.dump_options(major) == options
