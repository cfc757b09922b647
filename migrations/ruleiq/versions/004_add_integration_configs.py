"""Third-party integrations and reports by schedule (RIQ-09)

Revision: 004_add_integration_configs
Revises: 003_core_tables

Named by the document without DDL (X-33). Credentials of an integration do not belong into settings: they stay with the
secret store, and settings names them.
"""

from alembic import op

revision = "004_add_integration_configs"
down_revision = "003_core_tables"
branch_labels = None
depends_on = None

INTEGRATION_CONFIGURATIONS = """
CREATE TABLE integration_configurations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider varchar(50) NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
)
"""

REPORT_SCHEDULES = """
CREATE TABLE report_schedules (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    report_name varchar(255) NOT NULL,
    frequency varchar(20) NOT NULL DEFAULT 'monthly',
    next_run_at timestamp,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
)
"""


def upgrade() -> None:
    """Create both; they are new, so the indexes of their foreign keys are not built CONCURRENTLY."""
    op.execute(INTEGRATION_CONFIGURATIONS)
    op.execute(REPORT_SCHEDULES)
    op.execute("CREATE INDEX idx_integration_configurations_user_id ON integration_configurations (user_id)")
    op.execute("CREATE INDEX idx_report_schedules_user_id ON report_schedules (user_id)")


def downgrade() -> None:
    """Drop both."""
    op.execute("DROP TABLE report_schedules")
    op.execute("DROP TABLE integration_configurations")
