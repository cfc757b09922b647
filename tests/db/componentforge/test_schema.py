"""What ComponentForge's rows do by themselves: defaults, cascades, triggers."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from environment.products import Product
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("componentforge")

CHILDREN = ("documents", "document_chunks", "conversations", "messages", "requirement_exports")


@pytest.fixture
def rows(server: Server, product: Product, at_head: str) -> "Iterator[psycopg.Connection[Any]]":
    """A session of the migrator with the demo rows; rolled back in the end."""
    with server.connect(product.name, product.migrator_role) as connection:
        connection.execute(product.seed_file("demo").read_bytes())
        yield connection
        connection.rollback()


@pytest.mark.parametrize(
    ("insert", "defaults"),
    [
        ("users (email, username, hashed_password) VALUES ('n', 'n', 'n')",
         {"is_active": True, "is_admin": False, "preferences": {}}),
        ("documents (user_id, title, filename, file_path) VALUES (-1, 'n', 'n', 'n')",
         {"processing_status": "pending", "chunk_count": 0}),
        ("conversations (user_id) VALUES (-1)",
         {"model_name": "gpt-4", "temperature": 0.7, "status": "active", "message_count": 0, "total_tokens_used": 0}),
        ("embedding_models (name, provider, dimension, max_tokens) VALUES ('n', 'n', 1, 1)", {"is_active": True}),
        ("evaluation_runs (name, model_name) VALUES ('n', 'n')", {"status": "pending"}),
        ("requirement_exports (user_id, component_type, requirements) VALUES (-1, 'n', '{}')",
         {"approved_count": 0, "edited_count": 0, "custom_added_count": 0, "used_in_pattern_retrieval": False,
          "used_in_code_generation": False}),
    ],
)  # fmt: skip
def test_raw_sql_has_the_defaults_too(
    rows: "psycopg.Connection[Any]", insert: str, defaults: dict[str, object]
) -> None:
    """X-39, CF-05 to CF-13: what the document leaves to Python is filled in by the database."""
    made = rows.execute(f"INSERT INTO {insert} RETURNING {', '.join(defaults)}, created_at = now()".encode()).fetchone()
    assert made == (*defaults.values(), True)


def test_deleting_a_user_takes_all_of_it(server: Server, product: Product, rows: "psycopg.Connection[Any]") -> None:
    """CF-16: in the database, also for the application, and nothing of anybody else's."""

    def count(owner: int) -> list[int]:
        of = {
            "document_chunks": f"document_id IN (SELECT id FROM documents WHERE user_id = {owner})",
            "messages": f"conversation_id IN (SELECT id FROM conversations WHERE user_id = {owner})",
        }
        found = []
        for table in CHILDREN:
            query = f"SELECT count(*) FROM {table} WHERE {of.get(table, f'user_id = {owner}')}"
            found.append(rows.execute(query.encode()).fetchall()[0][0])
        return found

    others = count(-2)
    assert all(count(-1)) and all(others)
    ids = {table: {row[0] for row in rows.execute(f"SELECT id FROM {table}".encode())} for table in CHILDREN}
    rows.execute(b"DELETE FROM users WHERE id = -1")
    assert count(-2) == others
    for table, before in ids.items():
        left = {row[0] for row in rows.execute(f"SELECT id FROM {table}".encode())}
        assert len(left) == others[CHILDREN.index(table)] < len(before)


def test_replies_outlive_what_they_reply_to(rows: "psycopg.Connection[Any]") -> None:
    """CF-16, CF-10: ON DELETE SET NULL."""
    rows.execute(b"DELETE FROM messages WHERE id = -1")
    replies = rows.execute(b"SELECT id, parent_message_id FROM messages WHERE conversation_id = -1 ORDER BY id")
    assert replies.fetchall() == [(-3, None), (-2, None)]


def test_a_chunk_exists_once(rows: "psycopg.Connection[Any]") -> None:
    """CF-08: uq_document_chunk_index."""
    with pytest.raises(psycopg.errors.UniqueViolation, match="uq_document_chunk_index"):
        rows.execute(b"INSERT INTO document_chunks (document_id, chunk_index, content) VALUES (-1, 1, '')")


@pytest.mark.parametrize(("column", "index"), [("email", "ix_users_email"), ("username", "ix_users_username")])
def test_a_user_exists_once(rows: "psycopg.Connection[Any]", column: str, index: str) -> None:
    """CF-06: neither email nor username is taken twice."""
    with pytest.raises(psycopg.errors.UniqueViolation, match=index):
        rows.execute(f"UPDATE users SET {column} = (SELECT {column} FROM users WHERE id = -1) WHERE id = -2".encode())


def test_updated_at_is_the_databases(product: Product, rows: "psycopg.Connection[Any]") -> None:
    """PLAT-12, CF-05: every table has it, and raw SQL moves it, whatever the statement says."""
    for table in product.tables:
        changed = rows.execute(
            f"UPDATE {table} SET updated_at = '2000-01-01', created_at = '2000-01-01'"
            " RETURNING updated_at = now(), created_at < now()".encode()
        ).fetchall()
        assert set(changed) == {(True, True)}, table


def test_new_rows_do_not_meet_the_demos(server: Server, product: Product, rows: "psycopg.Connection[Any]") -> None:
    """PLAT-30: seeds give ids that sequences never give."""
    for table in product.tables:
        query = f"SELECT max(id) < 0 FROM {table} WHERE xmin = pg_current_xact_id()::xid"
        assert rows.execute(query.encode()).fetchone() == (True,), table
