"""JEEX Idea's tables against seed 002, and what its rows do by themselves."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, pool, text

from db import migrate
from db.schema_lines import describe
from environment.products import ROOT, Product
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("jeex_idea")

SEED = (ROOT / "tests/db/documents/jeex_idea.sql").read_text()
OURS = "CREATE INDEX idx_documents_created_by ON document_versions (created_by);"
DECIDED = (
    SEED.replace("gen_random_uuid()", "uuidv7()")
    .replace(
        "project_id UUID REFERENCES", "project_id UUID NOT NULL REFERENCES"
    )  # JEEX-13
    .replace("NOW()", "timezone('UTC', NOW())")
    + OURS
)
TABLES = {
    "users": "JEEX-07",
    "projects": "JEEX-08",
    "document_versions": "JEEX-09",
    "agent_executions": "JEEX-10",
    "exports": "JEEX-11",
}
ADA = "01900000-0000-7000-8000-000000000001"


def lines_of(connection: Connection, table: str) -> list[str]:
    """What the catalogue says of a table of the schema in the search path."""
    schema = connection.scalar(text("select current_schema()"))
    named = re.compile(rf"^(column {table}\.|constraint \w+ on {table}:|index .* ON {table} )")
    return [line for line in map(str, describe(connection, str(schema))) if named.match(line)]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_the_seeds(server: Server, product: Product, at_head: str, table: str) -> None:
    """JEEX-07 to JEEX-11, JEEX-13, X-04, X-05, X-25, PLAT-13, PLAT-14.

    Columns, types, nullability, defaults, constraints and indexes are those of the seed's own DDL run on the same
    server, with the decided changes: uuidv7(), project_id NOT NULL, moments that begin in UTC, an index for created_by.
    """
    url = at_head.replace("postgresql:", "postgresql+psycopg:")
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        live = lines_of(connection, table)
        connection.rollback()
        connection.execute(text("set local role jeex_idea_owner"))
        connection.execute(text("create schema seed"))
        connection.execute(text("set local search_path = seed, public"))  # before 18, uuidv7() is in public
        connection.exec_driver_sql(DECIDED)
        seed = lines_of(connection, table)
        connection.rollback()
    assert live == seed
    assert len(live) > 5


@pytest.fixture
def rows(server: Server, product: Product, at_head: str) -> "Iterator[psycopg.Connection[Any]]":
    """A session of the migrator with the demo rows; rolled back in the end."""
    with server.connect(product.name, product.migrator_role) as connection:
        connection.execute(product.seed_file("demo").read_bytes())
        yield connection
        connection.rollback()


@pytest.mark.parametrize("table", TABLES)
def test_new_ids_are_version_7(rows: "psycopg.Connection[Any]", table: str) -> None:
    """JEEX-01, JEEX-12: without an id given, a row gets one of version 7, of now."""
    columns = {
        "users": "email, name) VALUES ('new@example.com', 'New'",
        "projects": "name) VALUES ('New'",
        "document_versions": "project_id, document_type, version, content) SELECT id, 'new', 1, ''",
        "agent_executions": "project_id, agent_type, correlation_id) SELECT id, 'new', id",
        "exports": "project_id) SELECT id",
    }[table]
    tail = " FROM projects LIMIT 1" if "SELECT" in columns else ")"
    row = rows.execute(f"INSERT INTO {table} ({columns}{tail} RETURNING id".encode()).fetchone()
    assert row is not None
    assert row[0].version == 7
    assert abs(datetime.now(UTC).timestamp() * 1000 - (row[0].int >> 80)) < 300_000


@pytest.mark.since(18)  # has both to compare
def test_keels_own_uuidv7_is_as_good(server: Server, product: Product, at_head: str) -> None:
    """JEEX-12, Q-30: before PostgreSQL 18 the function is ours; version, variant, time, order, randomness."""
    revision = ROOT / "migrations/jeex_idea/versions/001_users_projects_document_versions.py"
    (block,) = re.findall(r'UUIDV7_BEFORE_18 = """(.*?)"""', revision.read_text(), re.DOTALL)
    with server.connect(product.name) as connection:
        connection.execute(block.replace("< 180000", "< 990000").encode())
        made = connection.execute(
            b"SELECT array_agg(public.uuidv7()), array_agg(pg_catalog.uuidv7()) FROM generate_series(1, 2000)"
        ).fetchone()
        later = connection.execute(b"SELECT public.uuidv7()").fetchone()
        connection.rollback()
    assert made is not None
    assert later is not None
    ours: list[UUID] = made[0]
    now = datetime.now(UTC).timestamp() * 1000
    assert {(value.version, value.variant) for value in ours} == {(7, "specified in RFC 4122")}
    assert all(abs((value.int >> 80) - now) < 300_000 for value in ours)
    assert abs((made[1][0].int >> 80) - (ours[0].int >> 80)) < 1000
    assert later[0].int >> 80 >= ours[0].int >> 80
    assert len({value.int & (2**74 - 1) for value in ours}) == len(ours)
    assert len({(value.int >> 64) & 0xFFF for value in ours}) > 1000


@pytest.mark.parametrize("step", [0, 5])
def test_a_project_has_four_steps(rows: "psycopg.Connection[Any]", step: int) -> None:
    """JEEX-08: projects_current_step_check."""
    with pytest.raises(psycopg.errors.CheckViolation, match="projects_current_step_check"):
        rows.execute(b"UPDATE projects SET current_step = %s", [step])


def test_a_version_exists_once(rows: "psycopg.Connection[Any]") -> None:
    """JEEX-13: neither twice, nor without a project, which would get past the unique index."""
    with pytest.raises(psycopg.errors.UniqueViolation, match="idx_documents_unique_version"), rows.transaction():
        rows.execute(
            b"INSERT INTO document_versions (project_id, document_type, version, content)"
            b" SELECT project_id, document_type, version, '' FROM document_versions"
        )
    with pytest.raises(psycopg.errors.NotNullViolation, match="project_id"), rows.transaction():
        rows.execute(b"UPDATE document_versions SET project_id = NULL")


def test_a_user_with_projects_stays(rows: "psycopg.Connection[Any]") -> None:
    """Q-31: deleting is refused, not cascaded; deleting a project takes what belongs to it."""
    with pytest.raises(psycopg.errors.ForeignKeyViolation), rows.transaction():
        rows.execute(b"DELETE FROM users WHERE id = %s", [ADA])
    rows.execute(b"DELETE FROM projects")
    for child in ("document_versions", "agent_executions", "exports"):
        assert rows.execute(f"SELECT count(*) FROM {child}".encode()).fetchone() == (0,)
    rows.execute(b"DELETE FROM users WHERE id = %s", [ADA])


def test_updated_at_is_the_databases(server: Server, product: Product, at_head: str) -> None:
    """PLAT-12: raw SQL moves it, in UTC, for every table that has the column."""
    with server.connect(product.name) as connection:
        tables = connection.execute(
            b"SELECT table_name FROM information_schema.columns"
            b" WHERE table_schema = 'public' AND column_name = 'updated_at' ORDER BY 1"
        ).fetchall()
        assert tables == [("projects",), ("users",)]
        connection.execute(product.seed_file("demo").read_bytes())
        connection.execute(b"SET LOCAL timezone = 'Asia/Tokyo'")
        for (table,) in tables:
            changed = connection.execute(
                f"UPDATE {table} SET name = name, updated_at = '2000-01-01'"
                " RETURNING updated_at = timezone('UTC', now())".encode()
            ).fetchall()
            assert changed == [(True,), (True,)]
        connection.rollback()


def test_seeds_run_twice(server: Server, product: Product, empty: str) -> None:
    """PLAT-30, JEEX-28: the same rows afterwards; demo rows are not for production."""
    migrate.upgrade(product, empty)
    counts = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM document_versions), max(xmin::text) FROM users"
    assert migrate.seed(product, empty, "demo", production=False)
    once = server.execute(counts, product.name)
    assert once[0][:2] == (2, 3)
    assert migrate.seed(product, empty, "demo", production=False)
    assert server.execute(counts, product.name) == once
    with pytest.raises(migrate.MigrationError, match="demo is not for production"):
        migrate.seed(product, empty, "demo", production=True)
    assert not migrate.seed(product, empty, "reference", production=True)


def test_the_revisions_come_in_the_seeds_order(server: Server, product: Product, empty: str) -> None:
    """JEEX-27, JEEX-44: users, projects, document_versions; agent_executions, exports; then the indexes."""
    from alembic import command

    def seen() -> tuple[set[str], int]:
        tables = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", product.name)
        indexes = server.execute("SELECT count(*) FROM pg_indexes WHERE indexname ~ '^idx_'", product.name)
        return {name for (name,) in tables}, indexes[0][0]

    steps = []
    for _ in range(3):
        command.upgrade(migrate.config(product, empty), "+1")
        steps.append(seen())
    first = {"users", "projects", "document_versions"}
    assert steps == [(first, 0), (set(TABLES), 0), (set(TABLES), 11)]
