"""What the API, the workers and those who are not logged in yet can do in ruleIQ beside the matrix of tests/rls."""

import psycopg
import pytest

from db import migrate
from environment.products import Product
from tests.db.fixtures import only
from tests.db.ruleiq.sessions import Session, become, plan
from tests.db.ruleiq.steps import Query, at, back
from tools.scratch_server import Server

product = only("ruleiq")

ADA = "04000000-0000-4000-8000-000000000001"
GRACE = "04000000-0000-4000-8000-000000000002"
SHARED = ("compliance_frameworks", "implementation_plans", "readiness_assessments")
BY_NAME = "SELECT * FROM evidence_items WHERE evidence_name ILIKE '%audit%'"


def test_a_worker_searches_names_by_trigrams(product: Product, program: Session) -> None:
    """RIQ-10, RIQ-03: a policy that admits every row does not keep ILIKE from the index."""
    become(program, product.worker_role)
    assert "idx_evidence_name_search" in plan(program, BY_NAME)


def test_the_api_searches_the_tenants_rows(product: Product, program: Session) -> None:
    """RIQ-33, PLAT-16: an operator that could tell of hidden rows comes after the policy, hence by the tenant's index."""
    become(program, product.app_role, ADA)
    planned = plan(program, f"{BY_NAME} AND status = 'approved'")
    assert "idx_evidence_user_" in planned
    assert "idx_evidence_name_search" not in planned


def test_frameworks_are_for_everybody_to_read(product: Product, program: Session) -> None:
    """RIQ-17: without an identity too; neither API nor worker writes them."""
    for role in product.client_roles:
        become(program, role)
        for table in SHARED:
            found = program.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
            assert found and found[0] >= 8
            for statement in (
                f"UPDATE {table} SET id = id",
                f"DELETE FROM {table}",
                f"INSERT INTO {table} DEFAULT VALUES",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), program.transaction():
                    program.execute(statement.encode())


def test_a_worker_writes_for_one_tenant(product: Product, program: Session) -> None:
    """RIQ-03: it reads all, and changes the rows of the one whose identity it has set; seeing a stranger's profile does
    not let it put anything below it."""
    become(program, product.worker_role, ADA)
    assert program.execute("SELECT count(DISTINCT user_id) FROM evidence_items").fetchone() == (2,)
    assert program.execute("UPDATE evidence_items SET priority = 'low'").rowcount == 2
    strangers = "(SELECT id FROM business_profiles WHERE user_id = %(grace)s)"
    for statement in (
        f"UPDATE evidence_items SET business_profile_id = {strangers}",
        f"UPDATE generated_policies SET business_profile_id = {strangers}",
        f"INSERT INTO assessment_sessions (user_id, business_profile_id, framework_id) VALUES (%(ada)s, {strangers}, 'gdpr')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"), program.transaction():
            program.execute(statement.encode(), {"ada": ADA, "grace": GRACE})


def test_nobody_approves_in_the_name_of_another(product: Product, program: Session) -> None:
    """RIQ-29: neither API nor worker; it would also keep the other from being deleted."""
    for role in product.client_roles:
        become(program, role, ADA)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"), program.transaction():
            program.execute("UPDATE evidence_items SET approved_by = %s", [GRACE])


def test_a_user_is_found_and_registered_before_the_identity_is_known(product: Product, program: Session) -> None:
    """PLAT-18: by any case of the email, with what a log-in checks; a taken one is refused in any case."""
    become(program, product.app_role)
    found = program.execute("SELECT id::text, hashed_password, is_active FROM auth.user_by_email('ADA@Example.com')")
    assert found.fetchall() == [(ADA, "!", True)]
    assert program.execute("SELECT * FROM auth.user_by_email('nobody@example.com')").fetchall() == []
    with pytest.raises(psycopg.errors.UniqueViolation), program.transaction():
        program.execute("SELECT auth.register_user('Ada@example.com', '!')")
    made = program.execute("SELECT auth.register_user('New@example.com', 'hash')").fetchone()
    assert made
    assert program.execute("SELECT count(*) FROM users").fetchone() == (0,)
    become(program, product.app_role, str(made[0]))
    account = "SELECT email, hashed_password, is_active, is_superuser FROM users"
    assert program.execute(account.encode()).fetchall() == [("new@example.com", "hash", True, False)]


def test_nobody_takes_anothers_email_in_other_letters(product: Product, program: Session) -> None:
    """PLAT-18: neither who changes his own nor who registers; whatever the letters, an email finds one account."""
    become(program, product.app_role, ADA)
    for taken in ("Grace@Example.com", "grace@example.com"):
        with pytest.raises(psycopg.errors.UniqueViolation), program.transaction():
            program.execute("UPDATE users SET email = %s", [taken])
        with pytest.raises(psycopg.errors.UniqueViolation), program.transaction():
            program.execute("SELECT auth.register_user(%s, '!')", [taken])
    found = program.execute("SELECT id::text FROM auth.user_by_email('GRACE@EXAMPLE.COM')").fetchall()
    assert found == [(GRACE,)]
    program.execute("UPDATE users SET email = 'Countess@Example.com'")
    assert program.execute("SELECT email FROM users").fetchall() == [("countess@example.com",)]


def test_emails_from_before_are_in_lower_case(product: Product, empty: str, query: Query) -> None:
    """PLAT-18, RIQ-27: 012 changes them, so that nobody joins; where two accounts differ in nothing else the older one
    gets the lower case, both stay, can change everything else, and are found by their letters; back as they were."""
    at(product, empty, "011")
    emails = ["Ada@x.org", "old@x.org", "Old@x.org", "NEW@x.org", "New@x.org"]
    for number, email in enumerate(emails):
        query(
            "INSERT INTO users (id, email, hashed_password, created_at) VALUES"
            f" ('0a000000-0000-4000-8000-00000000000{number}', '{email}', '!', '2026-01-{9 - number:02}')"
        )
    migrate.upgrade(product, empty)
    now = [email for (email,) in query("SELECT email FROM users ORDER BY id")]
    assert now == ["ada@x.org", "old@x.org", "Old@x.org", "NEW@x.org", "new@x.org"]
    for wanted, number in (("ADA@x.org", 0), ("OLD@X.ORG", 1), ("Old@x.org", 2), ("NEW@x.org", 3), ("New@x.org", 4)):
        ((key,),) = query(f"SELECT right(id::text, 1)::int FROM auth.user_by_email('{wanted}')")
        assert key == number, wanted
    query("UPDATE users SET hashed_password = 'changed'")
    assert [email for (email,) in query("SELECT email FROM users ORDER BY id")] == now
    back(product, empty, "011")
    assert [email for (email,) in query("SELECT email FROM users ORDER BY id")] == emails


def test_others_do_not_look_up(server: Server, product: Product, at_head: str) -> None:
    """PLAT-18: neither the read-only role nor workers."""
    callers = server.execute(
        "SELECT DISTINCT a.grantee::regrole::text FROM pg_proc, aclexplode(proacl) a"
        " WHERE pronamespace = 'auth'::regnamespace ORDER BY 1",
        product.name,
    )
    assert callers == [("ruleiq_api",), ("ruleiq_auth",)]
