"""What ruleIQ's rows may say, what goes with what, and by which index it is found."""

from collections.abc import Iterator

import psycopg
import pytest

from db import migrate
from environment.products import Product
from tests.db.fixtures import only
from tests.db.ruleiq.sessions import Session, plan
from tools.scratch_server import Server

product = only("ruleiq")

ADA = "04000000-0000-4000-8000-000000000001"
GRACE = "04000000-0000-4000-8000-000000000002"


@pytest.fixture
def rows(server: Server, product: Product, at_head: str) -> Iterator[Session]:
    """A session of the migrator with the demo rows; rolled back in the end."""
    with server.connect(product.name, product.migrator_role) as connection:
        connection.execute(product.seed_file("demo").read_bytes())
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        yield connection
        connection.rollback()


REFUSED = {
    "chk_evidence_status": "UPDATE evidence_items SET status = 'done'",
    "chk_employee_count_positive": "UPDATE business_profiles SET employee_count = 0",
    "chk_data_sensitivity": "UPDATE business_profiles SET data_sensitivity = 'high'",
    "chk_approval_workflow": "UPDATE evidence_items SET status = 'approved', approved_at = now(), approved_by = NULL",
}


@pytest.mark.parametrize("constraint", REFUSED)
def test_a_rule_is_kept(rows: Session, constraint: str) -> None:
    """RIQ-11, RIQ-12, RIQ-13, RIQ-14: each CHECK refuses what it is for, in every table of the document."""
    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        rows.execute(REFUSED[constraint].encode())


def test_approval_takes_name_and_date(rows: Session) -> None:
    """RIQ-14, RIQ-29: neither alone is enough, both are; other statuses need neither."""
    for missing in ("approved_at", "approved_by"):
        with pytest.raises(psycopg.errors.CheckViolation, match="chk_approval_workflow"), rows.transaction():
            rows.execute(f"UPDATE evidence_items SET {missing} = NULL WHERE status = 'approved'".encode())
    rows.execute("UPDATE evidence_items SET status = 'approved', approved_at = now(), approved_by = user_id")
    rows.execute("UPDATE evidence_items SET status = 'rejected', approved_at = NULL, approved_by = NULL")


def test_null_means_not_stated(rows: Session) -> None:
    """Q-29: it stays allowed where the document's columns are nullable."""
    rows.execute("UPDATE evidence_items SET status = NULL, approved_at = NULL, approved_by = NULL")
    rows.execute("UPDATE business_profiles SET employee_count = NULL, data_sensitivity = NULL")


def test_a_profile_takes_its_own_along(rows: Session) -> None:
    """RIQ-16, X-48: sessions, evidence and policies of a deleted profile go, those of others stay."""
    rows.execute("DELETE FROM business_profiles WHERE user_id = %s", [ADA])
    for table in ("assessment_sessions", "evidence_items", "generated_policies"):
        found = rows.execute(f"SELECT DISTINCT user_id::text FROM {table}".encode()).fetchall()
        assert found == [(GRACE,)], table


@pytest.mark.parametrize("order", ["as migrated", "as a restored dump has them"])
def test_a_user_takes_everything_along(server: Server, product: Product, program: Session, order: str) -> None:
    """RIQ-16, RIQ-29: also evidence he approved himself, whichever of the two foreign keys is asked first."""
    program.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    if order == "as a restored dump has them":
        for column in ("approved_by", "user_id"):
            name = f"evidence_items_{column}_fkey"
            found = program.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [name])
            ((definition,),) = found.fetchall()
            change = f"DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {definition}"
            program.execute(f"ALTER TABLE evidence_items {change}".encode())
    program.execute("DELETE FROM users WHERE id = %s", [ADA])
    program.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for table in product.tenant_tables[1:]:
        assert program.execute(f"SELECT count(*) FROM {table} WHERE user_id = %s".encode(), [ADA]).fetchone() == (0,)


def test_who_approved_for_another_stays(rows: Session) -> None:
    """RIQ-29: the audit trail does not lose its names."""
    rows.execute("UPDATE evidence_items SET approved_by = %s WHERE approved_by = %s", [GRACE, ADA])
    rows.execute("DELETE FROM users WHERE id = %s", [GRACE])
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="evidence_items_approved_by_fkey"):
        rows.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_frameworks_in_use_stay(rows: Session) -> None:
    """X-33: framework_id names a framework; nothing can name another, and one that is named is not deleted."""
    for statement in (
        "DELETE FROM compliance_frameworks WHERE id = 'gdpr'",
        "UPDATE assessment_sessions SET framework_id = 'nonesuch'",
        "UPDATE evidence_items SET framework_id = 'nonesuch'",
    ):
        with pytest.raises(psycopg.IntegrityError, match="framework"), rows.transaction():
            rows.execute(statement.encode())


def test_every_foreign_key_has_an_index(server: Server, product: Product, at_head: str) -> None:
    """RIQ-16: beginning with its column, so that deleting a parent does not read the whole child."""
    bare = server.execute(
        "SELECT conname FROM pg_constraint k WHERE contype = 'f' AND connamespace = 'public'::regnamespace"
        " AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1] AND indpred IS NULL)",
        product.name,
    )
    assert bare == []


def test_updated_at_is_the_databases(server: Server, product: Product, rows: Session) -> None:
    """PLAT-12: raw SQL moves it, in UTC, in all eleven tables."""
    rows.execute("SET LOCAL timezone = 'Asia/Tokyo'")
    for table in product.tables:
        changed = rows.execute(
            f"UPDATE {table} SET updated_at = '2000-01-01' RETURNING updated_at = timezone('UTC', now())".encode()
        ).fetchall()
        assert len(changed) >= 2, table
        assert set(changed) == {(True,)}, table


ASKED = {
    "idx_evidence_name_search": "SELECT * FROM evidence_items WHERE evidence_name ILIKE '%audit%'",
    "idx_evidence_ai_metadata_gin": """SELECT * FROM evidence_items WHERE ai_metadata @> '{"topic": "audit"}'""",
    "idx_evidence_approved_by": f"SELECT * FROM evidence_items WHERE approved_by = '{ADA}'",
    "idx_users_email_lower": "SELECT * FROM users WHERE lower(email) = 'ada@example.com'",
    "idx_assessment_sessions_business_profile_id": f"SELECT * FROM assessment_sessions WHERE business_profile_id = '{ADA}'",
}


@pytest.mark.parametrize("index", ASKED)
def test_an_index_answers_its_question(rows: Session, index: str) -> None:
    """RIQ-10, RIQ-15, RIQ-16: trigrams, metadata, and what deleting a parent asks; for a role that sees all rows."""
    assert index in plan(rows, ASKED[index])


def test_seeds_run_twice(server: Server, product: Product, empty: str) -> None:
    """PLAT-30, RIQ-17: the same row versions afterwards; reference rows also in production, and over what 009 added."""
    migrate.upgrade(product, empty)
    server.execute(
        "INSERT INTO compliance_frameworks (id, name, is_active) VALUES ('gdpr', 'gdpr', false)", product.name
    )
    versions = " UNION ALL ".join(f"SELECT '{table}', id::text, xmin::text FROM {table}" for table in product.tables)
    seen = []
    for _ in range(2):
        assert migrate.seed(product, empty, "reference", production=True)
        assert migrate.seed(product, empty, "demo", production=False)
        seen.append(sorted(server.execute(versions, product.name)))
    assert seen[0] == seen[1]
    assert {table for table, _, _ in seen[0]} == set(product.tables)
    name = "SELECT name, is_active FROM compliance_frameworks WHERE id = 'gdpr'"
    assert server.execute(name, product.name) == [("General Data Protection Regulation", True)]
