"""A schema that was changed by hand is told, whatever was changed."""

import pytest
from sqlalchemy import NullPool, create_engine

from db import migrate
from environment.products import Product
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("jeex_idea")

# Run as superuser in a database at head, and what `differences` says then.
BY_HAND = [
    (
        "ALTER TABLE projects DROP CONSTRAINT projects_current_step_check",
        "missing: constraint projects_current",
    ),
    ("ALTER TABLE projects ADD COLUMN stray int", "not in the models: column projects.stray integer"),
    ("ALTER TABLE projects ALTER status DROP DEFAULT", "missing: column projects.status"),
    ("ALTER TABLE projects ALTER status DROP NOT NULL", "missing: column projects.status"),
    ("ALTER TABLE projects ALTER name TYPE text", "not in the models: column projects.name text"),
    ("DROP INDEX idx_projects_created", "missing: index idx_projects_created"),
    (
        "DROP INDEX idx_exports_expires; CREATE INDEX idx_exports_expires ON exports (expires_at)",
        "missing: index idx_exports_expires",
    ),
    ("CREATE TABLE stray (id int)", "not in the models: table stray"),
    (
        "ALTER TABLE projects SET (fillfactor = 50, autovacuum_enabled = off)",
        "not in the models: table projects: fillfactor",
    ),
    ("ALTER TABLE projects REPLICA IDENTITY FULL", "not in the models: table projects: replica identity f"),
    ("ALTER TABLE exports SET UNLOGGED", "not in the models: table exports: not logged"),
    ("ALTER TABLE projects ALTER name SET STATISTICS 7", "statistics 7"),
    ("ALTER TABLE projects ALTER name SET STORAGE external", "storage e"),
    ("ALTER TABLE projects ALTER name SET (n_distinct = 7)", "n_distinct=7"),
    ("CREATE RULE stray AS ON DELETE TO projects DO INSTEAD NOTHING", "not in the models: rule stray on projects"),
    ("ALTER TABLE exports DISABLE TRIGGER ALL", "not in the models: constraint exports_project_id_fkey"),
    (
        "ALTER TABLE exports DROP CONSTRAINT exports_project_id_fkey;"
        " ALTER TABLE exports ADD FOREIGN KEY (project_id) REFERENCES projects ON DELETE CASCADE NOT VALID",
        "(not valid)",
    ),
    (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_exports_project'::regclass",
        "(not valid)",
    ),
]


@pytest.mark.parametrize(("statement", "expected"), BY_HAND)
def test_a_change_of_the_schema_is_seen(
    server: Server, product: Product, at_head: str, statement: str, expected: str
) -> None:
    """JEEX-26, PLAT-14, PLAT-29, BAC-28: also what Alembic itself does not compare."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: server.connect(product.name), poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL allow_system_table_mods = on")
        connection.exec_driver_sql(statement)
        found = migrate.differences_of(connection, product)
        connection.rollback()
    assert any(expected in difference.what for difference in found), found
    assert migrate.differences(product, at_head) == []


@pytest.mark.parametrize(
    "statement", [statement for statement, _ in BY_HAND if "pg_index" not in statement and "TRIGGER" not in statement]
)
def test_what_the_report_says_undoes_it(server: Server, product: Product, at_head: str, statement: str) -> None:
    """PLAT-48: each line has its repair."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: server.connect(product.name), poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
        savepoint = connection.begin_nested()
        found = migrate.differences_of(connection, product)
        savepoint.rollback()
        for difference in found:
            if difference.undo:
                connection.exec_driver_sql(difference.undo)
        savepoint = connection.begin_nested()
        assert migrate.differences_of(connection, product) == []
        savepoint.rollback()
        connection.rollback()
