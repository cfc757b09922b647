"""Records that are switched off, archived, erased."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from environment.products import Product
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("ai_assistant")

ENTITIES = {
    "rules": ("rule_id", "active"),
    "practices": ("practice_id", "is_active"),
    "templates": ("template_id", "is_active"),
}
DENIED = errors.InsufficientPrivilege


@pytest.fixture
def rows(server: Server, product: Product, at_head: str) -> "Iterator[psycopg.Connection[Any]]":
    """A session of the migrator with the demo rows; rolled back in the end."""
    with server.connect(product.name, product.migrator_role) as connection:
        connection.execute(product.seed_file("demo").read_bytes())
        yield connection
        connection.rollback()


@pytest.mark.parametrize("table", ENTITIES)
def test_the_moment_of_switching_off_is_kept(rows: "psycopg.Connection[Any]", table: str) -> None:
    """ADA-13, ADA-14: set with the flag, kept by later changes, gone when the record is active again."""
    key, flag = ENTITIES[table]

    def change(clause: str) -> tuple[Any, ...] | None:
        return rows.execute(
            f"UPDATE {table} SET {clause} WHERE {key} = (SELECT min({key}) FROM {table}) RETURNING deactivated_at = now()".encode()
        ).fetchone()

    assert change(f"{flag} = true") == (None,)
    assert change(f"{flag} = false") == (True,)
    assert change("deactivated_at = '2020-01-01'") == (False,)
    assert change("category = category") == (False,)
    assert change(f"{flag} = true") == (None,)
    assert change(f"{flag} = NULL") == (None,)


def test_two_years_later_it_is_archived(rows: "psycopg.Connection[Any]") -> None:
    """ADA-14, ADA-35: moved as it was, with the moment; what is active or inactive for less stays."""
    rows.execute(b"UPDATE templates SET deactivated_at = now() - interval '730 days' WHERE NOT is_active")
    before = rows.execute(b"SELECT to_jsonb(r) FROM rules r WHERE rule_id = 'STYLE-004'").fetchone()
    moved = rows.execute(b"SELECT * FROM archive_inactive()").fetchall()
    assert moved == [("rules", 1), ("practices", 1), ("templates", 0)]
    after = rows.execute(
        b"SELECT to_jsonb(a) - 'archived_at', archived_at = now() FROM rules_archive a WHERE rule_id = 'STYLE-004'"
    ).fetchone()
    assert before is not None
    assert after == (before[0], True)
    left = rows.execute(b"SELECT rule_id FROM rules WHERE active IS NOT TRUE OR rule_id = 'STYLE-004'").fetchall()
    assert left == [("STYLE-003",)]
    assert rows.execute(b"SELECT sum(moved) FROM archive_inactive()").fetchone() == (0,)

    moved = rows.execute(b"SELECT * FROM archive_inactive(now() - interval '1 year')").fetchall()
    assert moved == [("rules", 0), ("practices", 0), ("templates", 1)]


def test_a_key_can_be_used_and_archived_again(rows: "psycopg.Connection[Any]") -> None:
    """ADA-14: the archive has as many of them as there were."""
    rows.execute(
        b"INSERT INTO rules (rule_id, category, title, description, active, deactivated_at)"
        b" VALUES ('STYLE-000', 'style', 'Again', '', false, '2020-01-01')"
    )
    rows.execute(b"SELECT archive_inactive()")
    assert rows.execute(b"SELECT count(*) FROM rules_archive WHERE rule_id = 'STYLE-000'").fetchone() == (2,)


@pytest.mark.parametrize("table", ENTITIES)
def test_an_archive_has_its_tables_columns(server: Server, product: Product, at_head: str, table: str) -> None:
    """ADA-14: archived_at and then the same in the same order, on which archive_inactive() relies."""
    columns = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = '{}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    archive = server.execute(columns.format(f"{table}_archive"), product.name)
    assert archive == [
        ("archived_at", "timestamp with time zone"), *server.execute(columns.format(table), product.name),
    ]  # fmt: skip


def test_the_application_deletes_nothing(server: Server, product: Product, at_head: str) -> None:
    """ADA-13: it marks records; archive, erasure and their traces are not its business."""
    refused = [
        *(f"DELETE FROM {table}" for table in ENTITIES),
        *(f"UPDATE {table}_archive SET category = ''" for table in ENTITIES),
        "INSERT INTO rules_archive (rule_id, category, title, description) VALUES ('R', 'c', 't', 'd')",
        "DELETE FROM hard_deletes",
        "SELECT archive_inactive()",
        "SELECT hard_delete('rules', 'SEC-001', 'because')",
    ]
    with server.connect(product.name, product.app_role) as connection:
        for statement in refused:
            with pytest.raises(DENIED), connection.transaction():
                connection.execute(statement.encode())
        connection.execute(b"UPDATE rules SET active = false")
        connection.execute(b"SELECT FROM rules_archive")


def test_an_erasure_is_written_down(rows: "psycopg.Connection[Any]", product: Product) -> None:
    """ADA-13, ADA-35, X-49: gone from table and archive; what, when, by whom and why stays."""
    rows.execute(b"INSERT INTO rules_archive SELECT '2024-01-01', r.* FROM rules r WHERE rule_id = 'SEC-001'")
    assert rows.execute(b"SELECT hard_delete('rules', 'SEC-001', 'request 4711')").fetchone() == (2,)
    assert rows.execute(b"SELECT hard_delete('templates', 'PERL-CGI', 'request 4712')").fetchone() == (1,)
    written = rows.execute(
        b"SELECT table_name, record_id, reason, rows_deleted, deleted_by, deleted_at = now() FROM hard_deletes ORDER BY id"
    ).fetchall()
    assert written == [
        ("rules", "SEC-001", "request 4711", 2, product.migrator_role, True),
        ("templates", "PERL-CGI", "request 4712", 1, product.migrator_role, True),
    ]
    gone = b"SELECT FROM rules WHERE rule_id = 'SEC-001' UNION ALL SELECT FROM rules_archive WHERE rule_id = 'SEC-001'"
    assert rows.execute(gone).fetchall() == []
    for statement in ("DELETE FROM hard_deletes", "UPDATE hard_deletes SET reason = ''"):
        with pytest.raises(DENIED), rows.transaction():
            rows.execute(statement.encode())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("'rules', 'SEC-001', ' '", "give the reason"),
        ("'rules', 'SEC-001', null", "give the reason"),
        ("'hard_deletes', '1', 'because'", "from_table is hard_deletes"),
        ("null, 'SEC-001', 'because'", "from_table is <NULL>"),
        ("'rules', 'SEC-999', 'because'", "neither rules nor its archive has a record SEC-999"),
    ],
)
def test_an_erasure_without_object_or_reason_is_refused(rows: "psycopg.Connection[Any]", call: str, said: str) -> None:
    """ADA-13: audited means that every erasure has a reason, and that nothing is noted that did not happen."""
    with pytest.raises(errors.RaiseException, match=f"nothing was erased: .*{said}"), rows.transaction():
        rows.execute(f"SELECT hard_delete({call})".encode())
    assert rows.execute(b"SELECT count(*) FROM hard_deletes").fetchone() == (0,)
