"""Row-level security for every tenant's table (RIQ-17, PLAT-15)

Revision: 012_enable_row_level_security
Revises: 011_add_functional_indexes

Enabled and forced: the owner is subject to it too. From here on nobody but the migrator and the backup role sees a row
without a policy; db/ruleiq/policies.sql, which is applied right after this revision, has the policies.
"""

from alembic import op

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

# Policies without row-level security mean nothing, and one that names a column keeps 010 from dropping it.
DROP_POLICIES = """
DO $$ DECLARE item record; BEGIN
    FOR item IN SELECT tablename, policyname FROM pg_policies WHERE schemaname = 'public' LOOP
        EXECUTE format('DROP POLICY %I ON %I', item.policyname, item.tablename);
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Close the tables."""
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Open them to every role with a grant, as they were before."""
    op.execute(DROP_POLICIES)
    for table in reversed(TABLES):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
