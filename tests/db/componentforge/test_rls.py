"""What the matrix of tests/db/test_rls.py does not know of ComponentForge's policies: names, replies, log-in."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from environment.products import Product
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("componentforge")

DENIED = psycopg.errors.InsufficientPrivilege
ADA, GRACE = -1, -2


@pytest.fixture
def application(server: Server, product: Product, at_head: str) -> "Iterator[psycopg.Connection[Any]]":
    """A superuser's session with the demo rows that has become the application; rolled back in the end."""
    with server.connect(product.name) as connection:
        connection.execute(product.seed_file("demo").read_bytes())
        connection.execute(b"SET LOCAL ROLE componentforge_app")
        yield connection
        connection.rollback()


def behalf(connection: "psycopg.Connection[Any]", user: int) -> None:
    """From here on in somebody's name."""
    connection.execute(b"SELECT set_config('app.current_user_id', %s, true)", [str(user)])


def test_the_policies_by_name_and_command(server: Server, product: Product, at_head: str) -> None:
    """CF-17, CF-18, X-45: the document's name, for all commands; nothing on the shared tables."""
    policies = server.execute(
        "SELECT tablename, policyname, cmd, roles::text, qual IS NOT NULL, with_check IS NOT NULL FROM pg_policies",
        product.name,
    )
    assert sorted(policies) == [
        ("conversations", "conversations_user", "ALL", "{public}", True, True),
        ("document_chunks", "document_chunks_document", "ALL", "{public}", True, True),
        ("documents", "documents_user", "ALL", "{public}", True, True),
        ("messages", "messages_conversation", "ALL", "{public}", True, True),
        ("requirement_exports", "requirement_exports_user", "ALL", "{public}", True, True),
        ("users", "user_isolation_policy", "ALL", "{public}", True, True),
        ("users", "users_auth_lookup", "SELECT", "{componentforge_auth}", True, False),
        ("users", "users_auth_register", "INSERT", "{componentforge_auth}", False, True),
    ]


def test_a_session_set_to_a_user_sees_that_one(application: "psycopg.Connection[Any]") -> None:
    """CF-17, Q-11: of all users the one with the id, and none without one, also after a transaction that had one."""
    assert application.execute(b"SELECT id FROM users").fetchall() == []
    behalf(application, ADA)
    assert application.execute(b"SELECT id FROM users").fetchall() == [(ADA,)]
    application.execute(b"SELECT set_config('app.current_user_id', '', true)")
    assert application.execute(b"SELECT id FROM users").fetchall() == []


REPLY = b"INSERT INTO messages (conversation_id, parent_message_id, role, content) VALUES (%s, %s, 'user', '')"


@pytest.mark.parametrize("parent", [-4, 123_456], ids=["another user's", "nobody's"])
def test_a_reply_to_what_is_not_seen_is_refused(application: "psycopg.Connection[Any]", parent: int) -> None:
    """CF-18: by the foreign key alone the first would pass, and the difference would tell which ids exist."""
    behalf(application, ADA)
    with pytest.raises(DENIED, match="row-level security"), application.transaction():
        application.execute(REPLY, [-1, parent])
    with pytest.raises(DENIED, match="row-level security"), application.transaction():
        application.execute(b"UPDATE messages SET parent_message_id = %s WHERE id = -1", [parent])


def test_a_reply_stays_in_its_conversation(application: "psycopg.Connection[Any]") -> None:
    """CF-10, CF-18: also where both conversations are one's own."""
    behalf(application, ADA)
    made = application.execute(b"INSERT INTO conversations (user_id) VALUES (-1) RETURNING id").fetchone()
    assert made
    with pytest.raises(DENIED, match="row-level security"), application.transaction():
        application.execute(REPLY, [made[0], -1])
    application.execute(REPLY, [-1, -1])


def test_a_message_is_no_reply_to_itself(application: "psycopg.Connection[Any]") -> None:
    """CF-10: neither when it is made nor afterwards."""
    behalf(application, ADA)
    for statement in (
        b"UPDATE messages SET parent_message_id = id",
        b"INSERT INTO messages (id, conversation_id, parent_message_id, role, content) VALUES (-9, -1, -9, 'user', '')",
    ):
        with pytest.raises(DENIED, match="row-level security"), application.transaction():
            application.execute(statement)


def test_one_statement_may_bring_a_message_and_its_reply(application: "psycopg.Connection[Any]") -> None:
    """CF-10: as an ORM sends them."""
    behalf(application, ADA)
    application.execute(
        b"INSERT INTO messages (id, conversation_id, parent_message_id, role, content)"
        b" VALUES (-11, -1, null, 'user', ''), (-12, -1, -11, 'assistant', '')"
    )


def test_deleting_what_was_replied_to_is_allowed(application: "psycopg.Connection[Any]") -> None:
    """CF-16: ON DELETE SET NULL passes row-level security."""
    behalf(application, ADA)
    application.execute(b"DELETE FROM messages WHERE id = -1")
    found = application.execute(b"SELECT id, parent_message_id FROM messages ORDER BY id DESC").fetchall()
    assert found == [(-2, None), (-3, None)]


@pytest.mark.parametrize("table", ["embedding_models", "evaluation_runs"])
def test_shared_tables_need_no_identity(application: "psycopg.Connection[Any]", table: str) -> None:
    """CF-18: they belong to nobody, the application reads and writes them."""
    assert application.execute(f"UPDATE {table} SET name = name || '!' WHERE id = -1".encode()).rowcount == 1
    assert application.execute(f"DELETE FROM {table} WHERE id = -1".encode()).rowcount == 1


def test_who_logs_in_is_found_by_email_or_name(application: "psycopg.Connection[Any]") -> None:
    """PLAT-18: what checking a password needs, before there is an identity, exactly as it was written."""
    for function, known in (("user_by_email", "ada@example.com"), ("user_by_username", "ada")):
        look = f"SELECT * FROM auth.{function}(%s)".encode()
        assert application.execute(look, [known]).fetchall() == [(ADA, "$2b$12$demo", True)]
        for unknown in ("Ada", "%", "", None):
            assert application.execute(look, [unknown]).fetchall() == []


def test_who_registers_becomes_a_user(application: "psycopg.Connection[Any]") -> None:
    """PLAT-18: active, no administrator, and visible to himself only; what is taken is refused."""
    register = b"SELECT auth.register_user('new@example.com', 'new', '$2b$12$new')"
    made = application.execute(register).fetchone()
    assert made
    assert application.execute(b"SELECT id FROM users").fetchall() == []
    behalf(application, made[0])
    found = application.execute(b"SELECT username, is_active, is_admin, preferences FROM users").fetchall()
    assert found == [("new", True, False, {})]
    with pytest.raises(psycopg.errors.UniqueViolation):
        application.execute(register)


@pytest.mark.parametrize("column", ["preferences", "is_admin", "last_login_at", "created_at"])
def test_the_role_behind_log_in_sees_no_more(application: "psycopg.Connection[Any]", column: str) -> None:
    """PLAT-18: columns that a log-in does not need, and every other table, are closed to it."""
    application.execute(b"RESET ROLE")
    application.execute(b"SET LOCAL ROLE componentforge_auth")
    assert application.execute(b"SELECT count(id) FROM users").fetchone() == (2,)
    for query in (f"SELECT {column} FROM users", f"UPDATE users SET {column} = null", "SELECT FROM documents"):
        with pytest.raises(DENIED, match="permission denied"), application.transaction():
            application.execute(query.encode())
