"""Rows that break the rules of 009 and 010: changed so that they fit, told, and given back on the way down."""

import logging

import psycopg
import pytest

from db import migrate
from environment.products import Product
from tests.db.fixtures import only
from tests.db.ruleiq.steps import Query, at, back, contents
from tools.scratch_server import Server

product = only("ruleiq")

ADA, GRACE = "0a000000-0000-4000-8000-000000000001", "0a000000-0000-4000-8000-000000000002"


def plant(server: Server, product: Product) -> None:
    """Rows of two tenants at 008, some of them bad in every way that 009 knows, beside good ones and nulls."""
    stranger, nobody = "0b000000-0000-4000-8000-000000000002", "0bffffff-0000-4000-8000-000000000000"
    for number, user in enumerate((ADA, GRACE), 1):
        own = f"0b000000-0000-4000-8000-00000000000{number}"
        other = stranger if user == ADA else nobody
        for statement in (
            f"INSERT INTO users (id, email, hashed_password) VALUES ('{user}', 'u{number}@keel.invalid', '!')",
            "INSERT INTO business_profiles (id, user_id, company_name, employee_count, data_sensitivity) VALUES"
            f" ('{own}', '{user}', 'good', 5, 'High'),"
            f" (gen_random_uuid(), '{user}', 'unknown', NULL, NULL),"
            f" (gen_random_uuid(), '{user}', 'case', 0, ' critical'),"
            f" (gen_random_uuid(), '{user}', 'word', -7, 'very')",
            f"INSERT INTO assessment_sessions (user_id, business_profile_id, framework_id, session_name) VALUES"
            f" ('{user}', '{own}', 'gdpr', 'good'), ('{user}', '{nobody}', 'gdpr', 'orphan'),"
            f" ('{user}', '{other}', 'house-rules', 'stranger')",
            f"INSERT INTO generated_policies (user_id, business_profile_id, policy_name) VALUES"
            f" ('{user}', '{own}', 'good'), ('{user}', '{nobody}', 'orphan'), ('{user}', NULL, 'none')",
            f"INSERT INTO evidence_items (user_id, business_profile_id, evidence_name, status, framework_id) VALUES"
            f" ('{user}', '{own}', 'good', 'collected', 'gdpr'), ('{user}', '{own}', 'unknown', NULL, NULL),"
            f" ('{user}', '{own}', 'case', 'In Progress', 'old'), ('{user}', '{own}', 'word', 'done', NULL)",
        ):
            server.execute(statement, product.name)
    # Two faults in one row.
    server.execute(
        "INSERT INTO evidence_items (user_id, business_profile_id, evidence_name, status)"
        f" VALUES ('{ADA}', '{stranger}', 'both', 'done')",
        product.name,
    )


def test_bad_rows_of_all_tenants_are_cleaned_and_told(
    server: Server,
    product: Product,
    empty: str,
    query: Query,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """RIQ-11, RIQ-12, RIQ-13, RIQ-16, RIQ-27, Q-29: no identity is set, every tenant's bad rows fit the rules
    afterwards, good ones and nulls are untouched, and it is said how many were changed."""
    at(product, empty, "008")
    plant(server, product)
    with caplog.at_level(logging.WARNING, "alembic.runtime.migration"):
        at(product, empty, "009")

    evidence = (
        "SELECT evidence_name, status, framework_id, business_profile_id IS NOT NULL, count(*) FROM evidence_items"
    )
    assert sorted(query(f"{evidence} GROUP BY 1, 2, 3, 4"), key=str) == [
        ("both", "not_started", None, False, 1),
        ("case", "in_progress", "old", True, 2),
        ("good", "collected", "gdpr", True, 2),
        ("unknown", None, None, True, 2),
        ("word", "not_started", None, True, 2),
    ]
    profiles = "SELECT company_name, employee_count, data_sensitivity, count(*) FROM business_profiles GROUP BY 1, 2, 3"
    assert sorted(query(profiles), key=str) == [
        ("case", None, "Critical", 2),
        ("good", 5, "High", 2),
        ("unknown", None, None, 2),
        ("word", None, "Critical", 2),
    ]
    sessions = "SELECT session_name, framework_id, business_profile_id IS NOT NULL, count(*) FROM assessment_sessions"
    assert sorted(query(f"{sessions} GROUP BY 1, 2, 3")) == [
        ("good", "gdpr", True, 2),
        ("orphan", "gdpr", False, 2),
        ("stranger", "house-rules", False, 2),
    ]
    policies = "SELECT policy_name, business_profile_id IS NOT NULL, count(*) FROM generated_policies GROUP BY 1, 2"
    assert sorted(query(policies)) == [("good", True, 2), ("none", False, 2), ("orphan", False, 2)]
    assert sorted(query("SELECT id, is_active FROM compliance_frameworks")) == [
        ("gdpr", False),
        ("house-rules", False),
        ("old", False),
    ]
    assert query("SELECT conname FROM pg_constraint WHERE NOT convalidated") == []

    told = [record.getMessage() for record in caplog.records]
    for counted in (
        "5 rows changed, evidence_items.status: not a status",
        "1 rows changed, evidence_items.business_profile_id: no profile of the same user",
        "4 rows changed, assessment_sessions.business_profile_id: no profile of the same user",
        "2 rows changed, generated_policies.business_profile_id: no profile of the same user",
        "4 rows changed, business_profiles.employee_count: not positive",
        "4 rows changed, business_profiles.data_sensitivity: not a sensitivity",
        "3 rows changed, compliance_frameworks.id: named by rows, added as inactive",
    ):
        assert [line for line in told if counted in line and "alembic.cleaned_by_009" in line], (counted, told)
    assert "ruleiq 009: 5 rows changed, evidence_items.status" in server.log()


def test_nothing_is_lost_by_cleaning(server: Server, product: Product, empty: str, query: Query) -> None:
    """RIQ-27, Q-29: every original is kept with the reason, only for the migrator; the way back gives the very rows."""
    at(product, empty, "008")
    plant(server, product)
    planted = contents(server, product)
    for _ in range(2):
        at(product, empty, "009")
        assert contents(server, product) != planted
        kept = query(
            "SELECT table_name, column_name, original, replacement, reason, cleaned_at FROM alembic.cleaned_by_009"
        )
        assert len(kept) == 5 + 1 + 4 + 2 + 4 + 4 + 3
        assert all(reason and moment for *_, reason, moment in kept)
        assert ("business_profiles", "employee_count", -7, None) in [row[:4] for row in kept]
        for role in (product.readonly_role, "keel_monitor"):
            with server.connect(product.name, role) as connection:
                assert connection.execute("SELECT count(*) FROM alembic.cleaned_by_009").fetchone() == (0,)
        back(product, empty, "008")
        assert contents(server, product) == planted
        assert query("SELECT to_regclass('alembic.cleaned_by_009')") == [(None,)]


def test_what_users_wrote_since_stays(server: Server, product: Product, empty: str, query: Query) -> None:
    """RIQ-27: the way back does not put an old value over a newer one."""
    at(product, empty, "008")
    plant(server, product)
    at(product, empty, "009")
    query("UPDATE evidence_items SET status = 'rejected' WHERE evidence_name = 'case'")
    query("UPDATE compliance_frameworks SET is_active = true WHERE id = 'old'")
    back(product, empty, "008")
    assert query("SELECT DISTINCT status FROM evidence_items WHERE evidence_name IN ('case', 'word') ORDER BY 1") == [
        ("done",),
        ("rejected",),
    ]
    assert query("SELECT id FROM compliance_frameworks") == [("old",)]


def test_009_does_not_wait_for_long(server: Server, product: Product, empty: str) -> None:
    """RIQ-27: behind a writer's transaction 009 gives up after its lock_timeout and changes nothing."""
    at(product, empty, "008")
    plant(server, product)
    planted = contents(server, product)
    with server.connect(product.name) as writer:
        writer.execute("UPDATE evidence_items SET priority = 'high'")
        with pytest.raises(migrate.MigrationError, match="lock timeout"):
            at(product, empty, "009")
        writer.rollback()
    assert migrate.current(product, empty) == "008_fix_truncated_column_names"
    assert contents(server, product) == planted
    with pytest.raises(psycopg.errors.UndefinedTable):
        server.execute("TABLE alembic.cleaned_by_009", product.name)


def test_approvals_without_a_name_are_to_be_repeated(
    server: Server, product: Product, empty: str, query: Query
) -> None:
    """RIQ-14, RIQ-29, Q-25: 010 takes them back to `collected`, keeps that they were approved, and restores it."""
    at(product, empty, "009")
    query(f"INSERT INTO users (id, email, hashed_password) VALUES ('{ADA}', 'a@keel.invalid', '!')")
    query(
        f"INSERT INTO evidence_items (user_id, evidence_name, status) VALUES ('{ADA}', 'e', 'approved'), ('{ADA}', 'f', 'rejected')"
    )
    before = contents(server, product)
    at(product, empty, "010")
    assert query("SELECT evidence_name, status, approved_by FROM evidence_items ORDER BY 1") == [
        ("e", "collected", None),
        ("f", "rejected", None),
    ]
    assert query("SELECT original, reason FROM alembic.cleaned_by_010") == [("approved", "approved by nobody")]
    back(product, empty, "009")
    assert contents(server, product) == before
