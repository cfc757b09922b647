"""AI Development Assistant's database: what its rows and indexes do by themselves."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from db import migrate
from environment.products import Product
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("ai_assistant")


@pytest.fixture
def rows(server: Server, product: Product, at_head: str) -> "Iterator[psycopg.Connection[Any]]":
    """A session of the migrator with the demo rows; rolled back in the end."""
    with server.connect(product.name, product.migrator_role) as connection:
        connection.execute(product.seed_file("demo").read_bytes())
        yield connection
        connection.rollback()


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE rules SET severity = 'FATAL'", "rules_severity_check"),
        ("UPDATE rules SET severity = 'critical'", "rules_severity_check"),
        ("UPDATE rules SET enforcement = 'sometimes'", "rules_enforcement_check"),
        ("INSERT INTO rules SELECT * FROM rules", "rules_pkey"),
        ("INSERT INTO practices SELECT * FROM practices", "practices_pkey"),
        ("INSERT INTO templates SELECT * FROM templates", "templates_pkey"),
    ],
)
def test_values_are_checked(rows: "psycopg.Connection[Any]", statement: str, constraint: str) -> None:
    """ADA-07 to ADA-09, ADA-15: values as listed, a key once."""
    with pytest.raises(psycopg.IntegrityError, match=constraint):
        rows.execute(statement.encode())


def test_scores_have_two_places(rows: "psycopg.Connection[Any]") -> None:
    """ADA-08: numeric(3,2)."""
    scores = rows.execute(b"UPDATE practices SET adoption_rate = 0.456 RETURNING adoption_rate::text").fetchall()
    assert set(scores) == {("0.46",)}
    with pytest.raises(errors.NumericValueOutOfRange):
        rows.execute(b"UPDATE practices SET adoption_rate = 10")


def test_a_reserved_word_is_a_column(rows: "psycopg.Connection[Any]") -> None:
    """ADA-08, Q-01: quoted it works, unquoted it is the document's syntax error."""
    assert rows.execute(
        b"SELECT \"references\" -> 0 ->> 'chapter' FROM practices WHERE practice_id = 'TEST-001'"
    ).fetchone() == ("4",)
    with pytest.raises(errors.SyntaxError):
        rows.execute(b"SELECT references FROM practices")


TEXT = "to_tsvector('english', title || ' ' || description)"
PLANS = {
    "idx_rules_category": "SELECT FROM rules WHERE category = 'security' AND active = true",
    "idx_practices_category": "SELECT FROM practices WHERE category = 'review' AND is_active = true",
    "idx_templates_category": "SELECT FROM templates WHERE category = 'python' AND is_active = true",
    "idx_rules_severity": "SELECT FROM rules WHERE severity = 'ERROR' AND active = true ORDER BY created_at DESC",
    "idx_rules_search": f"SELECT FROM rules WHERE {TEXT} @@ plainto_tsquery('english', 'secret')",
    "idx_practices_search": f"SELECT FROM practices WHERE {TEXT} @@ plainto_tsquery('english', 'defect')",
    "idx_rules_examples": 'SELECT FROM rules WHERE examples @> \'[{"language": "python"}]\'',
    "idx_practices_benefits": "SELECT FROM practices WHERE benefits ? 'faster reviews'",
}


@pytest.mark.parametrize("index", PLANS)
def test_an_index_serves_its_query(rows: "psycopg.Connection[Any]", index: str) -> None:
    """ADA-10, ADA-11, ADA-12: the documented predicate uses the documented index, in its order."""
    assert rows.execute(PLANS[index].encode()).fetchall()
    rows.execute(b"SET LOCAL enable_seqscan = off")
    plan = "\n".join(line for (line,) in rows.execute(f"EXPLAIN {PLANS[index]}".encode()).fetchall())
    assert index in plan
    assert "Sort" not in plan


def test_words_are_found_in_their_english_forms(rows: "psycopg.Connection[Any]") -> None:
    """ADA-03, ADA-11: the configuration is `english`: stems match, stop words do not count."""
    found = f"SELECT rule_id FROM rules WHERE {TEXT} @@ plainto_tsquery('english', %s)"
    assert rows.execute(found.encode(), ["the password token"]).fetchall() == [("SEC-001",)]
    assert (
        rows.execute(found.replace("'english', %s", "'simple', %s").encode(), ["the password token"]).fetchall() == []
    )


def test_updated_at_is_the_databases(server: Server, product: Product, at_head: str) -> None:
    """PLAT-12, X-05, X-36: raw SQL moves it, in UTC; only rules have the column."""
    with server.connect(product.name) as connection:
        tables = connection.execute(
            b"SELECT table_name FROM information_schema.columns"
            b" WHERE table_schema = 'public' AND column_name = 'updated_at' AND table_name !~ '_archive$'"
        ).fetchall()
        assert tables == [("rules",)]
        connection.execute(product.seed_file("demo").read_bytes())
        connection.execute(b"SET LOCAL timezone = 'Asia/Tokyo'")
        changed = connection.execute(
            b"UPDATE rules SET title = title, updated_at = '2000-01-01' RETURNING updated_at = timezone('UTC', now())"
        ).fetchall()
        assert set(changed) == {(True,)}
        connection.rollback()


def test_there_is_no_row_level_security(server: Server, product: Product, at_head: str) -> None:
    """PLAT-15: the application's role sees every row without an identity."""
    protected = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relrowsecurity"
    assert server.execute(protected, product.name) == []
    with server.connect(product.name, product.app_role) as connection:
        assert connection.execute(b"SELECT count(*) FROM rules").fetchone() == (0,)
        connection.execute(b"INSERT INTO rules (rule_id, category, title, description) VALUES ('R', 'c', 't', 'd')")
        assert connection.execute(b"SELECT count(*) FROM rules").fetchone() == (1,)
        connection.rollback()


def test_one_role_serves_the_application(server: Server, product: Product, at_head: str) -> None:
    """ADA-05: beside the migrator one login writes; a second role of the application, such as other products' workers, is none."""
    writes = """
        SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND (
            SELECT bool_or(has_table_privilege(pg_roles.oid, c.oid, 'INSERT, UPDATE, DELETE'))
            FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r')
    """
    found = {role for (role,) in server.execute(writes, product.name)}
    assert found == {product.app_role, product.migrator_role}
    assert product.client_roles == (product.app_role,)


def test_foreign_keys_have_indexes_and_records_have_one_name(server: Server, product: Product, at_head: str) -> None:
    """ADA-15: no foreign key without an index; what people call a record by is unique and never missing."""
    bare = (
        "SELECT conname FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace"
        " AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1] AND indpred IS NULL)"
    )
    assert server.execute(bare, product.name) == []
    unique = (
        "SELECT i.indrelid::regclass::text, a.attname::text FROM pg_index i"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " WHERE i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL AND a.attnotnull"
    )
    found = set(server.execute(unique, product.name))
    for table, key in (("rules", "rule_id"), ("practices", "practice_id"), ("templates", "template_id")):
        assert (table, key) in found


def test_nothing_is_personal(product: Product) -> None:
    """ADA-33, ADA-34, X-34: every table is internal, the list of columns to scrub is empty on purpose."""
    assert {facts.classification for facts in product.tables.values()} == {"internal"}
    assert {facts.pii for facts in product.tables.values()} == {()}


def test_seeds_run_twice_and_cover_the_usual_cases(server: Server, product: Product, empty: str) -> None:
    """PLAT-30, ADA-21: every severity and enforcement, active and inactive, archived; the same rows afterwards."""
    migrate.upgrade(product, empty)
    state = (
        "SELECT count(DISTINCT severity), count(DISTINCT enforcement), count(DISTINCT active), max(xmin::text),"
        " (SELECT count(*) FROM rules_archive), (SELECT count(DISTINCT is_active) FROM practices),"
        " (SELECT count(DISTINCT is_active) FROM templates) FROM rules"
    )
    assert migrate.seed(product, empty, "demo", production=False)
    once = server.execute(state, product.name)
    assert (*once[0][:3], *once[0][4:]) == (4, 3, 2, 1, 2, 2)
    assert migrate.seed(product, empty, "demo", production=False)
    assert server.execute(state, product.name) == once
    with pytest.raises(migrate.MigrationError, match="demo is not for production"):
        migrate.seed(product, empty, "demo", production=True)
