"""Who sees and changes which rows of JEEX Idea: each table, each command, each kind of identity."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from db import migrate
from environment.products import Product, catalogue
from tests.db.conftest import only
from tests.db.server import Server

product = only("jeex_idea")

ADA = "01900000-0000-7000-8000-000000000001"
GRACE = "01900000-0000-7000-8000-000000000002"
IDENTITIES = {"own": ADA, "other": GRACE, "unset": None, "empty": ""}

TABLES = tuple(catalogue()["jeex_idea"].tables)
OWNER = {  # of a row: whose it is
    "users": "id",
    "projects": "created_by",
    "document_versions": "(SELECT created_by FROM projects p WHERE p.id = project_id)",
    "agent_executions": "(SELECT created_by FROM projects p WHERE p.id = project_id)",
    "exports": "(SELECT created_by FROM projects p WHERE p.id = project_id)",
}
BELONGS = {"users": "id", "projects": "created_by"}  # the others: project_id

Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def ada(server: Server, product: Product, at_head: str) -> Rows:
    """One row of Ada's in each table; Grace has some too."""
    migrate.seed(product, at_head, "demo", production=False)
    with server.connect(product.name) as connection:
        project = connection.execute(b"SELECT id FROM projects WHERE created_by = %s", [ADA]).fetchone()
        assert project
        connection.execute(
            b"INSERT INTO agent_executions (project_id, agent_type, correlation_id) VALUES (%s, 'a', %s)",
            [project[0], ADA],
        )
        connection.execute(b"INSERT INTO exports (project_id) VALUES (%s)", [project[0]])
        connection.commit()
        rows = {}
        for table in TABLES:
            query = f"SELECT to_jsonb(t), (SELECT count(*) FROM {table} WHERE {OWNER[table]} <> %s)"
            found = connection.execute(f"{query} FROM {table} t WHERE {OWNER[table]} = %s".encode(), [ADA, ADA])
            ((rows[table], others),) = found.fetchall()
            assert others > 0
        return rows


@pytest.fixture
def session(server: Server, product: Product, ada: Rows) -> "Iterator[psycopg.Connection[Any]]":
    """A superuser's session without foreign keys, so that each table can be tried alone; rolled back in the end."""
    with server.connect(product.name) as connection:
        connection.execute(b"SET session_replication_role = replica")
        yield connection
        connection.rollback()


def become(connection: "psycopg.Connection[Any]", identity: str | None) -> None:
    """From here on the application, on behalf of somebody."""
    connection.execute(b"SET LOCAL ROLE jeex_user")
    if identity is not None:
        connection.execute(b"SELECT set_config('app.current_user_id', %s, true)", [identity])


def test_the_matrix_has_every_table(server: Server, product: Product, at_head: str) -> None:
    """PLAT-15: every table there is has row-level security, enabled and forced, and is tried below."""
    tables = server.execute(
        "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
        product.name,
    )
    assert sorted(tables) == [(table, True, True) for table in sorted(OWNER)]


def test_the_policies_by_name_and_command(server: Server, product: Product, at_head: str) -> None:
    """PLAT-15, PLAT-16: one for all four commands with USING and WITH CHECK on each table, two for look-up."""
    policies = server.execute(
        "SELECT tablename, policyname, cmd, roles::text, qual IS NOT NULL, with_check IS NOT NULL FROM pg_policies",
        product.name,
    )
    assert sorted(policies) == [
        ("agent_executions", "agent_executions_project", "ALL", "{public}", True, True),
        ("document_versions", "document_versions_project", "ALL", "{public}", True, True),
        ("exports", "exports_project", "ALL", "{public}", True, True),
        ("projects", "projects_owner", "ALL", "{public}", True, True),
        ("users", "users_auth_lookup", "SELECT", "{jeex_idea_auth}", True, False),
        ("users", "users_auth_register", "INSERT", "{jeex_idea_auth}", False, True),
        ("users", "users_self", "ALL", "{public}", True, True),
    ]


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("command", ["SELECT", "UPDATE", "DELETE"])
@pytest.mark.parametrize("table", TABLES)
def test_only_own_rows_are_reached(
    session: "psycopg.Connection[Any]", ada: Rows, table: str, command: str, identity: str
) -> None:
    """JEEX-15, PLAT-16: Ada's row for Ada only; without an identity nobody's row, and no error."""
    statement = {
        "SELECT": f"SELECT id FROM {table}",
        "UPDATE": f"UPDATE {table} SET id = id RETURNING id",
        "DELETE": f"DELETE FROM {table} RETURNING id",
    }[command]
    become(session, IDENTITIES[identity])
    reached = [str(key) for (key,) in session.execute(statement.encode())]
    if identity == "own":
        assert reached == [ada[table]["id"]]
    else:
        assert ada[table]["id"] not in reached
        assert bool(reached) == (identity == "other")


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("table", TABLES)
def test_only_own_rows_are_inserted(session: "psycopg.Connection[Any]", ada: Rows, table: str, identity: str) -> None:
    """JEEX-15, PLAT-16: the very row of Ada's, taken away before, comes back by Ada only."""
    session.execute(f"DELETE FROM {table} WHERE id = %s".encode(), [ada[table]["id"]])
    insert = f"INSERT INTO {table} SELECT * FROM jsonb_populate_record(null::{table}, %s::jsonb)".encode()
    become(session, IDENTITIES[identity])
    if identity == "own":
        assert session.execute(insert, [json.dumps(ada[table])]).rowcount == 1
    else:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            session.execute(insert, [json.dumps(ada[table])])


@pytest.mark.parametrize("table", TABLES)
def test_a_row_is_not_handed_to_somebody_else(session: "psycopg.Connection[Any]", ada: Rows, table: str) -> None:
    """PLAT-16: WITH CHECK holds for UPDATE; a foreign key alone would let a child move to any project."""
    column = BELONGS.get(table, "project_id")
    target = session.execute(b"SELECT id FROM projects WHERE created_by = %s", [GRACE]).fetchone()
    assert target
    become(session, ADA)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        session.execute(
            sql.SQL("UPDATE {} SET {} = %s").format(sql.Identifier(table), sql.Identifier(column)),
            [GRACE if table in BELONGS else target[0]],
        )


def test_nobody_writes_in_the_name_of_another(session: "psycopg.Connection[Any]", ada: Rows) -> None:
    """JEEX-15: a version is the user's own or an agent's."""
    become(session, ADA)
    session.execute(b"UPDATE document_versions SET created_by = NULL")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        session.execute(b"UPDATE document_versions SET created_by = %s", [GRACE])


def test_the_identity_ends_with_the_transaction(server: Server, product: Product, ada: Rows) -> None:
    """PLAT-17: on the same connection the next transaction sees nothing, and that is no error."""
    with server.connect(product.name, product.app_role) as connection:
        with connection.transaction():
            connection.execute(b"SELECT set_config('app.current_user_id', %s, true)", [ADA])
            assert connection.execute(b"SELECT count(*) FROM users").fetchone() == (1,)
        with connection.transaction():
            assert connection.execute(b"SELECT current_setting('app.current_user_id')").fetchone() == ("",)
            assert connection.execute(b"SELECT count(*) FROM users").fetchone() == (0,)


def test_the_identity_is_read_once_per_statement(server: Server, product: Product, ada: Rows) -> None:
    """The sub-select becomes an InitPlan, so that a look-up by id can use the index."""
    with server.connect(product.name, product.app_role) as connection:
        plan = connection.execute(b"EXPLAIN SELECT * FROM users").fetchall()
    assert any("InitPlan" in line for (line,) in plan)


def test_a_user_is_found_and_registered_before_the_identity_is_known(
    server: Server, product: Product, ada: Rows
) -> None:
    """PLAT-18: by the two functions, and by them only."""
    with server.connect(product.name, product.app_role) as connection:
        found = connection.execute(b"SELECT id, name FROM auth.user_by_email('ada@example.com')").fetchall()
        assert [(str(key), name) for key, name in found] == [(ADA, "Ada Demo")]
        assert connection.execute(b"SELECT * FROM auth.user_by_email('nobody@example.com')").fetchall() == []
        made = connection.execute(b"SELECT auth.register_user('new@example.com', 'New')").fetchone()
        assert made
        assert connection.execute(b"SELECT count(*) FROM users").fetchone() == (0,)
        connection.execute(b"SELECT set_config('app.current_user_id', %s, true)", [str(made[0])])
        assert connection.execute(b"SELECT email FROM users").fetchall() == [("new@example.com",)]
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(b"SELECT auth.register_user('ada@example.com', 'Again')")


def test_others_do_not_look_up(server: Server, product: Product, ada: Rows) -> None:
    """PLAT-18: the read-only role has no way around its own rows."""
    with (
        server.connect(product.name, product.readonly_role) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(b"SELECT * FROM auth.user_by_email('ada@example.com')")
    callers = server.execute(
        "SELECT proname, array_agg(DISTINCT a.grantee::regrole::text ORDER BY a.grantee::regrole::text)"
        " FROM pg_proc, aclexplode(proacl) a WHERE pronamespace = 'auth'::regnamespace GROUP BY proname",
        product.name,
    )
    assert dict(callers) == {
        "register_user": ["jeex_idea_auth", "jeex_user"],
        "user_by_email": ["jeex_idea_auth", "jeex_user"],
    }


def test_the_application_does_not_switch_it_off(server: Server, product: Product, ada: Rows) -> None:
    """PLAT-19: row_security = off is an error for it, other roles are closed to it."""
    with server.connect(product.name, product.app_role) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute(b"SET LOCAL row_security = off")
            connection.execute(b"SELECT * FROM users")
        for role in (product.migrator_role, product.owner_role, "jeex_idea_auth", "keel_backup"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
