"""What users write between a run of 009 or 010 that was stopped and the next one, or between the way down and up again."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy.exc import ProgrammingError

from db import migrate
from environment.products import Product
from tests.db.fixtures import only
from tests.db.ruleiq.steps import Query, at, back
from tools.scratch_server import Server

product = only("ruleiq")

ADA, GRACE = "0a000000-0000-4000-8000-000000000001", "0a000000-0000-4000-8000-000000000002"
ADAS, GRACES = "0b000000-0000-4000-8000-000000000001", "0b000000-0000-4000-8000-000000000002"
"""A profile of each."""


def users(query: Query) -> None:
    """Ada and Grace."""
    two = f"('{ADA}', 'ada@keel.invalid', '!'), ('{GRACE}', 'grace@keel.invalid', '!')"
    query(f"INSERT INTO users (id, email, hashed_password) VALUES {two}")


def accounts(query: Query) -> None:
    """Both, each with a profile that breaks the rules."""
    users(query)
    query(
        "INSERT INTO business_profiles (id, user_id, company_name, employee_count, data_sensitivity)"
        f" VALUES ('{ADAS}', '{ADA}', 'A', 0, 'very'), ('{GRACES}', '{GRACE}', 'G', -1, 'much')"
    )


def evidence(query: Query, name: str, status: str, owner: str = ADA, profile: str = ADAS) -> None:
    """A piece of it."""
    query(
        "INSERT INTO evidence_items (user_id, business_profile_id, evidence_name, status)"
        f" VALUES ('{owner}', '{profile}', '{name}', '{status}')"
    )


@contextmanager
def stopped(query: Query, statement: str) -> Iterator[None]:
    """Migrations fail at a statement, as if they were killed there."""
    query(
        "CREATE FUNCTION stop() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF current_query() LIKE '%{statement}%' THEN RAISE 'stopped'; END IF; END $$"
    )
    query("CREATE EVENT TRIGGER stop ON ddl_command_start EXECUTE FUNCTION stop()")
    with pytest.raises((migrate.MigrationError, ProgrammingError), match="stopped"):
        yield
    query("DROP FUNCTION stop CASCADE")


def test_a_second_run_of_009_leaves_what_users_wrote(product: Product, empty: str, query: Query) -> None:
    """RIQ-25, RIQ-27: a run stopped while validating leaves NOT VALID constraints at 008; what was written until the
    next run stays, on the way back too, and a profile of another user is cleaned as always, the last one kept."""
    at(product, empty, "008")
    accounts(query)
    other = "0b000000-0000-4000-8000-000000000003"
    query(f"INSERT INTO business_profiles (id, user_id, company_name) VALUES ('{other}', '{GRACE}', 'H')")
    for name, profile in (("same", ADAS), ("new", ADAS), ("stranger", other)):
        evidence(query, name, "done", profile=profile)
    with stopped(query, "generated_policies VALIDATE"):
        at(product, empty, "009")
    assert migrate.current(product, empty) == "008_fix_truncated_column_names"
    waiting = "SELECT conrelid::regclass::text FROM pg_constraint WHERE NOT convalidated"
    assert ("generated_policies",) in query(waiting)
    with pytest.raises(psycopg.errors.CheckViolation):
        query("UPDATE evidence_items SET status = 'done'")
    query("UPDATE evidence_items SET status = 'collected' WHERE evidence_name = 'new'")
    query(f"UPDATE evidence_items SET business_profile_id = '{GRACES}' WHERE evidence_name = 'stranger'")
    query(f"UPDATE business_profiles SET employee_count = 7, data_sensitivity = 'Low' WHERE id = '{ADAS}'")
    at(product, empty, "009")
    assert query(waiting) == []
    items = "SELECT evidence_name, status, business_profile_id::text FROM evidence_items ORDER BY 1"
    assert query(items) == [
        ("new", "collected", ADAS),
        ("same", "not_started", ADAS),
        ("stranger", "not_started", None),
    ]
    profiles = "SELECT company_name, employee_count, data_sensitivity FROM business_profiles ORDER BY 1"
    assert query(profiles) == [("A", 7, "Low"), ("G", None, "Critical"), ("H", None, "Medium")]
    back(product, empty, "008")
    assert query(items) == [("new", "collected", ADAS), ("same", "done", ADAS), ("stranger", "done", GRACES)]
    assert query(profiles) == [("A", 7, "Low"), ("G", -1, "much"), ("H", None, "Medium")]


def test_the_way_back_from_009_passes_by_a_profile_that_is_gone(
    server: Server, product: Product, empty: str, query: Query, caplog: pytest.LogCaptureFixture
) -> None:
    """RIQ-24, RIQ-27: evidence does not name it again; its id stays kept, which is told, until there is no such row."""
    at(product, empty, "008")
    accounts(query)
    evidence(query, "gone", "done", profile=GRACES)
    evidence(query, "there", "done", owner=GRACE)
    at(product, empty, "009")
    query(f"DELETE FROM business_profiles WHERE id = '{GRACES}'")
    with caplog.at_level(logging.WARNING, "alembic.runtime.migration"):
        back(product, empty, "008")
    items = "SELECT evidence_name, status, business_profile_id::text FROM evidence_items ORDER BY 1"
    assert query(items) == [("gone", "done", None), ("there", "done", ADAS)]
    assert query("SELECT column_name, original FROM alembic.cleaned_by_009") == [("business_profile_id", GRACES)]
    told = "1 rows not put back, evidence_items.business_profile_id"
    assert any(told in record.getMessage() for record in caplog.records)
    key = "SELECT convalidated, confdeltype::text FROM pg_constraint WHERE conname = 'evidence_items_business_profile_id_fkey'"
    assert query(key) == [(True, "a")]
    at(product, empty, "009")
    back(product, empty, "008")
    assert query("SELECT column_name, original FROM alembic.cleaned_by_009") == [("business_profile_id", GRACES)]
    back(product, empty, "base")
    assert query("SELECT to_regclass('alembic.cleaned_by_009')") == [(None,)]


def test_the_way_back_from_009_is_finished_by_the_next_run(product: Product, empty: str, query: Query) -> None:
    """RIQ-24, RIQ-25: stopped while it validates the foreign key of 003, it is still at 009, and runs again."""
    at(product, empty, "008")
    accounts(query)
    evidence(query, "e", "done")
    at(product, empty, "009")
    with stopped(query, "VALIDATE"):
        back(product, empty, "008")
    assert migrate.current(product, empty) == "009_add_constraints"
    query("UPDATE evidence_items SET status = 'whatever'")
    back(product, empty, "008")
    assert query("SELECT status FROM evidence_items") == [("whatever",)]
    assert query("SELECT conname FROM pg_constraint WHERE NOT convalidated") == []


def test_009_keeps_readers_out_of_two_tables_only(product: Product, empty: str, query: Query) -> None:
    """RIQ-25: the locks that its docstring names, at the end of its first transaction."""
    at(product, empty, "008")
    query("CREATE TABLE seen (relation text, mode text, UNIQUE (relation, mode)); GRANT ALL ON seen TO PUBLIC")
    query(
        "CREATE FUNCTION look() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF current_query() LIKE 'ALTER TABLE % NOT VALID' THEN INSERT INTO public.seen"
        " SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
        " AND mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock') ON CONFLICT DO NOTHING; END IF; END $$"
    )
    query("CREATE EVENT TRIGGER look ON ddl_command_end EXECUTE FUNCTION look()")
    at(product, empty, "009")
    query("DROP FUNCTION look CASCADE")
    seen = [(name, mode) for name, mode in query("SELECT relation, mode FROM seen") if name in product.tables]
    assert {name for name, mode in seen if mode == "AccessExclusiveLock"} == {"business_profiles", "evidence_items"}
    assert {name for name, mode in seen if mode == "ShareRowExclusiveLock"} >= {
        "assessment_sessions",
        "compliance_frameworks",
        "generated_policies",
    }


def test_010_stopped_while_validating_takes_no_approval_back(product: Product, empty: str, query: Query) -> None:
    """RIQ-29: what was approved with a name between two runs of 010 stays approved."""
    at(product, empty, "009")
    query(f"INSERT INTO users (id, email, hashed_password) VALUES ('{ADA}', 'a@keel.invalid', '!')")
    query(f"INSERT INTO evidence_items (user_id, evidence_name, status) VALUES ('{ADA}', 'e', 'approved')")
    with stopped(query, "VALIDATE CONSTRAINT chk_approval"):
        at(product, empty, "010")
    query("UPDATE evidence_items SET status = 'approved', approved_at = now(), approved_by = user_id")
    at(product, empty, "010")
    assert query("SELECT status, approved_by = user_id FROM evidence_items") == [("approved", True)]
    back(product, empty, "009")
    assert query("SELECT status FROM evidence_items") == [("approved",)]


def test_approvals_are_taken_again_where_nothing_has_changed(
    product: Product, empty: str, query: Query, caplog: pytest.LogCaptureFixture
) -> None:
    """RIQ-29: 010 down and up again. What was rejected meanwhile has no approval, what nobody can be named for is to be
    approved anew, and both approvals stay kept, with their date, until their evidence is gone."""
    at(product, empty, "010")
    users(query)
    query(
        "INSERT INTO evidence_items (user_id, evidence_name, status, approved_at, approved_by) VALUES"
        f" ('{ADA}', 'same', 'approved', '2026-01-01', '{ADA}'), ('{ADA}', 'rejected', 'approved', '2026-01-02', '{ADA}'),"
        f" ('{ADA}', 'orphan', 'approved', '2026-01-03', '{GRACE}'), ('{ADA}', 'earlier', 'rejected', '2026-01-04', '{ADA}')"
    )
    back(product, empty, "009")
    query("UPDATE evidence_items SET status = 'rejected' WHERE evidence_name = 'rejected'")
    query(f"DELETE FROM users WHERE id = '{GRACE}'")
    with caplog.at_level(logging.WARNING, "alembic.runtime.migration"):
        at(product, empty, "010")
    items = "SELECT evidence_name, status, approved_at::date::text, approved_by::text FROM evidence_items ORDER BY 1"
    assert query(items) == [
        ("earlier", "rejected", "2026-01-04", ADA),
        ("orphan", "collected", None, None),
        ("rejected", "rejected", None, None),
        ("same", "approved", "2026-01-01", ADA),
    ]
    kept = "SELECT approved_at::date::text, approved_by::text FROM alembic.approvals_of_010 ORDER BY 1"
    assert query(kept) == [("2026-01-02", ADA), ("2026-01-03", GRACE)]
    assert any("2 approvals not taken" in record.getMessage() for record in caplog.records)
    query(f"UPDATE evidence_items SET status = 'approved', approved_at = '2026-01-05', approved_by = '{ADA}'"
          " WHERE evidence_name = 'rejected'")  # fmt: skip
    query("DELETE FROM evidence_items WHERE evidence_name = 'orphan'")
    for _ in range(2):
        back(product, empty, "009")
        at(product, empty, "010")
    assert ("rejected", "approved", "2026-01-05", ADA) in query(items)
    assert query("SELECT to_regclass('alembic.approvals_of_010')") == [(None,)]
