"""AI Development Assistant's history: SQL files, up and down, with records in the tables."""

import io
import re
from pathlib import Path

import pytest
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import NullPool, create_engine, text

from db import migrate
from environment.products import Product, short
from migrations.ai_assistant import sql_files
from tests.db.fixtures import only
from tests.db.steps import revisions
from tools.scratch_server import Server

product = only("ai_assistant")


def test_every_revision_has_its_two_files(product: Product) -> None:
    """ADA-19, X-14: numbered in order, a script and a rollback script of the same name, and no other file."""
    names = [revision.revision for revision in revisions(product)]
    assert [short(name) for name in names] == [f"{n:03}" for n in range(1, len(names) + 1)]
    assert names[:2] == ["001_initial", "002_add_templates"]
    assert {path.name for path in sql_files.FOLDER.iterdir()} == {
        f"{name}.{way}.sql" for name in names for way in ("up", "down")
    }


def test_a_file_is_executed_statement_by_statement(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """ADA-19: a semicolon inside a block or a text ends nothing, and a colon or a percent sign is only that."""
    (tmp_path / "some.sql").write_text(
        "CREATE TEMP TABLE t (said text);\n\n-- With a comment.\nDO $$ BEGIN\n"
        "    INSERT INTO t VALUES ('10:30 is :time;');\n    INSERT INTO t VALUES ('5%'::text);\nEND $$;\n\n"
        "INSERT INTO t VALUES ('a; b:c');  \n"
    )
    monkeypatch.setattr(sql_files, "FOLDER", tmp_path)
    assert [statement.split()[0] for statement in sql_files.statements("some.sql")] == ["CREATE", "--", "INSERT"]
    engine = create_engine("postgresql+psycopg://", creator=server.connect, poolclass=NullPool)
    with engine.connect() as connection, Operations.context(MigrationContext.configure(connection)):
        sql_files.run("some.sql")
        assert list(connection.scalars(text("SELECT said FROM t"))) == ["10:30 is :time;", "5%", "a; b:c"]


def test_indexes_of_filled_tables_lock_nobody_out(product: Product) -> None:
    """ADA-11, ADA-12: built concurrently, outside a transaction, in limited time."""
    config = migrate.config(product)
    config.output_buffer = io.StringIO()
    command.upgrade(config, "002:006", sql=True)
    printed = config.output_buffer.getvalue()
    alone = re.findall(r"COMMIT;\s*(SET lock_timeout = 0;.*?)BEGIN;", printed, re.DOTALL)
    assert re.findall(r"CREATE INDEX CONCURRENTLY (\w+)", "".join(alone)) == [
        "idx_rules_search", "idx_practices_search", "idx_rules_examples", "idx_practices_benefits",
    ]  # fmt: skip
    assert printed.count("CREATE INDEX") == len(alone) == 4
    for block in alone:
        assert re.match(
            r"SET lock_timeout = 0;\s+SET statement_timeout = '1h';.*DROP INDEX CONCURRENTLY IF EXISTS (\w+);"
            r".*CREATE INDEX CONCURRENTLY \1 ",
            block,
            re.DOTALL,
        )


def test_inactive_records_get_a_moment(server: Server, product: Product, empty: str) -> None:
    """ADA-14: a rule since its last change, which stays what it was; others from now on; active ones none."""
    migrate.upgrade(product, empty)  # the triggers are there, as in a database that steps back and forth
    command.downgrade(migrate.config(product, empty), "006")
    server.execute(
        "INSERT INTO rules (rule_id, category, title, description, active, updated_at)"
        " VALUES ('OLD', 'c', 't', 'd', false, '2020-02-02'), ('ON', 'c', 't', 'd', true, '2020-02-02')",
        product.name,
    )
    server.execute(
        "INSERT INTO practices (practice_id, category, title, description, is_active, created_at)"
        " VALUES ('OLD', 'c', 't', 'd', false, '2020-02-02')",
        product.name,
    )
    migrate.upgrade(product, empty)
    assert server.execute(
        "SELECT rule_id, updated_at::text, deactivated_at::text FROM rules ORDER BY 1", product.name
    ) == [("OLD", "2020-02-02 00:00:00", "2020-02-02 00:00:00+00"), ("ON", "2020-02-02 00:00:00", None)]
    recent = "SELECT deactivated_at BETWEEN now() - interval '10 min' AND now() FROM practices"
    assert server.execute(recent, product.name) == [(True,)]


def test_going_back_brings_the_archive_back(server: Server, product: Product, empty: str) -> None:
    """ADA-14, ADA-19: no record is lost, a key in use again stays as it is, and up again everything works."""
    migrate.upgrade(product, empty)
    migrate.seed(product, empty, "demo", production=False)
    server.execute(
        "INSERT INTO rules_archive (archived_at, rule_id, category, title, description)"
        " VALUES ('2025-01-01', 'STYLE-000', 'c', 'the newer', 'd'), ('2025-01-01', 'SEC-001', 'c', 'in use', 'd')",
        product.name,
    )
    command.downgrade(migrate.config(product, empty), "007")
    titles = "SELECT title FROM rules WHERE rule_id IN ('STYLE-000', 'SEC-001') ORDER BY rule_id"
    assert server.execute(titles, product.name) == [("No secrets in code",), ("the newer",)]
    counts = "SELECT (SELECT count(*) FROM practices), (SELECT count(*) FROM templates)"
    assert server.execute(counts, product.name) == [(4, 4)]
    migrate.upgrade(product, empty)
    assert migrate.differences(product, empty) == []
    assert server.execute("SELECT * FROM archive_inactive() ORDER BY 1", product.name) == [
        ("practices", 2), ("rules", 1), ("templates", 2),
    ]  # fmt: skip
