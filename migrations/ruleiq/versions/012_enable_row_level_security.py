"""Row-level security for every tenant's table (RIQ-17, PLAT-15)

Revision: 012_enable_row_level_security
Revises: 011_add_functional_indexes

Enabled and forced: the owner is subject to it too. From here on nobody but the migrator and the backup role sees a row
without a policy; db/ruleiq/policies.sql, which is applied right after this revision, has the policies.

From here on too, the trigger users_lower_email writes emails in lower case, so that nobody takes over another's by other
letters. Emails that are there become so before it; alembic.cleaned_by_012 keeps them as they were, and the way down puts
them back. Of accounts whose emails differ in nothing else, made before, the first one is changed, if none is in
lower case: so no other can join them. The others stay as they are and are found by their exact letters.
"""

from alembic import op

from migrations.ruleiq import cleaning
from migrations.ruleiq.cleaning import Rule

revision = "012_enable_row_level_security"
down_revision = "011_add_functional_indexes"
branch_labels = None
depends_on = None

TABLES = (
    "users",
    "business_profiles",
    "assessment_sessions",
    "evidence_items",
    "generated_policies",
    "chat_conversations",
    "integration_configurations",
    "report_schedules",
)

RULES = (
    Rule(
        "users",
        "email",
        wrong="t.email <> lower(t.email) AND NOT EXISTS ("
        "SELECT FROM users o WHERE lower(o.email) = lower(t.email) AND (o.email = lower(o.email)"
        " OR (coalesce(o.created_at, '-infinity'), o.id) < (coalesce(t.created_at, '-infinity'), t.id)))",
        value="lower(t.email)",
        reason="not in lower case",
    ),
)

# Policies without row-level security mean nothing, and one that names a column keeps 010 from dropping it.
DROP_POLICIES = """
DO $$ DECLARE item record; BEGIN
    FOR item IN SELECT tablename, policyname FROM pg_policies WHERE schemaname = 'public' LOOP
        EXECUTE format('DROP POLICY %I ON %I', item.policyname, item.tablename);
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Clean, and close the tables."""
    cleaning.make_table(revision)
    cleaning.triggers(RULES, "DISABLE")
    op.execute(cleaning.AS_MIGRATOR)
    cleaning.clean(revision, RULES)
    cleaning.report(revision)
    op.execute(cleaning.AS_OWNER)
    cleaning.triggers(RULES, "ENABLE")
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Open them to every role with a grant, as they were before, with the emails as they were."""
    op.execute(DROP_POLICIES)
    cleaning.triggers(RULES, "DISABLE")
    op.execute(cleaning.AS_MIGRATOR)
    cleaning.restore(revision, RULES)
    op.execute(cleaning.AS_OWNER)
    cleaning.triggers(RULES, "ENABLE")
    op.execute(f"DROP TABLE {cleaning.kept(revision)}")
    for table in reversed(TABLES):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
