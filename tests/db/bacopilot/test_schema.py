"""What only BA Copilot's database has: CHECKs, the history of documents, indexes of metadata, rights in dev."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from db import migrate, provision
from db.spec import Migrated
from environment.products import Product
from tests.db.fixtures import only
from tools.scratch_server import Server, spec_of

product = only("bacopilot")

ADA = "00000000-0000-4000-8000-000000000001"
DOCUMENT = "00000000-0000-4000-8000-000000000011"

Connection = psycopg.Connection[Any]


@pytest.fixture
def rows(server: Server, product: Product, at_head: str) -> Iterator[Connection]:
    """A session of the migrator with the demo rows; rolled back in the end."""
    with server.connect(product.name, product.migrator_role) as connection:
        connection.execute(product.seed_file("demo").read_bytes())
        yield connection
        connection.rollback()


@pytest.fixture(scope="module")
def kept(product: Product, at_head: str) -> None:
    """The demo rows, for sessions of other roles."""
    migrate.seed(product, at_head, "demo", production=False)


@pytest.fixture
def ada(server: Server, product: Product, kept: None) -> Iterator[Connection]:
    """The application on behalf of Ada; rolled back in the end."""
    with server.connect(product.name, product.app_role) as connection:
        connection.execute(b"SELECT set_config('app.current_user_id', %s, true)", [ADA])
        yield connection
        connection.rollback()


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE messages SET role = 'tool'", "messages_role_check"),
        ("UPDATE diagrams SET diagram_type = 'class'", "diagrams_diagram_type_check"),
    ],
)
def test_values_outside_the_list_are_refused(rows: Connection, statement: str, constraint: str) -> None:
    """BAC-17, BAC-18: by the CHECK of the document's name."""
    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        rows.execute(statement.encode())


def test_updated_at_is_the_databases(rows: Connection) -> None:
    """PLAT-12, BAC-21, X-26: raw SQL moves it, in every table that has it, messages among them."""
    found = rows.execute(
        "SELECT table_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name = 'updated_at' ORDER BY 1"
    ).fetchall()
    tables = [name for (name,) in found]
    assert tables == ["conversations", "diagrams", "documents", "messages", "users", "wireframes"]
    for table in tables:
        changed = rows.execute(f"UPDATE {table} SET updated_at = '2000-01-01' RETURNING updated_at = now()".encode())
        assert set(changed.fetchall()) == {(True,)}, table


def versions(connection: Connection) -> list[tuple[Any, ...]]:
    """Of Ada's document: the earlier ones, the first one first, and then the current one."""
    return connection.execute(
        b"SELECT version, content FROM document_versions WHERE document_id = %(it)s"
        b" UNION ALL SELECT version, content FROM documents WHERE document_id = %(it)s ORDER BY version",
        {"it": DOCUMENT},
    ).fetchall()


def test_what_a_document_said_before_is_kept(ada: Connection) -> None:
    """BAC-20, X-28: as the application under forced row-level security, with a number more for each other content."""
    ada.execute(b"UPDATE documents SET content = 'third'")
    ada.execute(b"UPDATE documents SET content = 'fourth', version = version + 1, status = 'approved'")
    found = versions(ada)
    assert [number for number, _ in found] == [1, 2, 3, 4]
    assert [text for _, text in found[2:]] == ["third", "fourth"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE document_versions SET content = 'never said'",
        "DELETE FROM document_versions",
        f"INSERT INTO document_versions (document_id, version, content) VALUES ('{DOCUMENT}', 2, 'in the way')",
        "SELECT keep_document_version()",
    ],
)
def test_the_history_is_the_databases(ada: Connection, statement: str) -> None:
    """X-28: the application does not rewrite what its own documents said, nor keep them from changing."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"), ada.transaction():
        ada.execute(statement.encode())
    ada.execute(b"UPDATE documents SET content = 'third'")
    assert [number for number, _ in versions(ada)] == [1, 2, 3]


def test_a_migration_that_changes_documents_keeps_versions(rows: Connection) -> None:
    """X-28: no identity, and row_security off, as every revision has it."""
    rows.execute(b"SET LOCAL row_security = off")
    rows.execute(b"UPDATE documents SET content = 'third'")
    assert [number for number, _ in versions(rows)] == [1, 2, 3]


def test_nobody_keeps_a_version_of_anothers_document(ada: Connection) -> None:
    """X-28, BAC-23: an update that would give the document away leaves no version behind either."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"), ada.transaction():
        ada.execute(b"UPDATE documents SET content = 'x', user_id = %s", [ADA[:-1] + "2"])
    assert ada.execute(b"UPDATE documents SET content = 'x' WHERE user_id <> %s", [ADA]).rowcount == 0
    assert [number for number, _ in versions(ada)] == [1, 2]


def test_a_document_that_says_the_same_is_the_same_version(ada: Connection) -> None:
    """X-28: other columns, the same content again, or a number out of the air make no version."""
    before = versions(ada)
    ada.execute(b"UPDATE documents SET status = 'approved', content = content, version = 17")
    assert versions(ada) == before


def test_a_document_without_a_number_has_a_history_too(ada: Connection) -> None:
    """BAC-14, X-28: the document leaves version nullable; unknown counts as the first."""
    ada.execute(
        b"INSERT INTO documents (document_id, user_id, project_name, content, version)"
        b" VALUES (gen_random_uuid(), %s, 'Numberless', 'old', NULL)",
        [ADA],
    )
    changed = ada.execute(b"UPDATE documents SET content = 'new' WHERE version IS NULL RETURNING document_id, version")
    key, version = changed.fetchone() or (None, None)
    kept = ada.execute(b"SELECT version, content FROM document_versions WHERE document_id = %s", [key]).fetchall()
    assert (version, kept) == (2, [(1, "old")])


def test_versions_go_with_their_document(ada: Connection) -> None:
    """BAC-19, X-28: deleting a document leaves nothing of it."""
    assert len(versions(ada)) == 2
    ada.execute(b"DELETE FROM documents")
    assert versions(ada) == []


@pytest.mark.parametrize("table", ["documents", "wireframes", "conversations", "messages", "diagrams"])
def test_metadata_is_found_by_its_index(rows: Connection, table: str) -> None:
    """BAC-22, X-27: @> on every metadata column; as the migrator, for whom no policy goes first."""
    rows.execute(b"SET LOCAL enable_seqscan = off")
    plan = rows.execute(f"""EXPLAIN SELECT * FROM {table} WHERE metadata @> '{{"domain": "mobility"}}'""".encode())
    assert any(f"Bitmap Index Scan on idx_{table}_metadata" in line for (line,) in plan.fetchall())


def test_the_extensions_functions_are_the_applications(ada: Connection) -> None:
    """BAC-10: uuid-ossp and pg_trgm are of use without a schema before their names."""
    row = ada.execute(b"SELECT uuid_generate_v4() IS NOT NULL, similarity('bicycle', 'bicycles') > 0.5").fetchone()
    assert row == (True, True)


def test_the_application_creates_tables_in_dev_only(server: Server, product: Product, at_head: str) -> None:
    """BAC-11, X-46: CREATE on public where the environment is dev; elsewhere it is taken back."""
    head = spec_of(migrated=Migrated.HEAD)
    dev = head.model_copy(update={"development": True})
    for spec, allowed in ((dev, True), (head, False)):
        provision.apply(server.superuser, provision.plan(server.superuser, server.look, spec), prune=True)
        with server.connect(product.name, product.app_role) as connection:
            try:
                connection.execute(b"CREATE TABLE scratch ()")
                created = True
            except psycopg.errors.InsufficientPrivilege:
                created = False
            connection.rollback()
        assert created is allowed


def test_demo_rows_are_two_tenants_and_stay_the_same(
    server: Server, product: Product, at_head: str, kept: None
) -> None:
    """PLAT-30, BAC-32: a row of each user in every table; running them again changes nothing; never in production."""
    counted = " UNION ALL ".join(f"SELECT '{name}', count(*), max(xmin::text) FROM {name}" for name in product.tables)
    before = server.execute(counted, product.name)
    assert all(count >= 2 for _, count, _ in before)
    for identity in (ADA, ADA[:-1] + "2"):
        with server.connect(product.name, product.app_role) as connection:
            connection.execute(b"SELECT set_config('app.current_user_id', %s, true)", [identity])
            for table in product.tables:
                assert connection.execute(f"SELECT FROM {table}".encode()).rowcount > 0, (identity, table)
    assert migrate.seed(product, at_head, "demo", production=False)
    assert server.execute(counted, product.name) == before
    with pytest.raises(migrate.MigrationError, match="demo is not for production"):
        migrate.seed(product, at_head, "demo", production=True)
