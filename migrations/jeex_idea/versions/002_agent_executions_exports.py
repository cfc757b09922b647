"""Agent executions and exports (JEEX-27, second step)

Revision: 002_agent_executions_exports
Revises: 001_users_projects_document_versions
"""

from alembic import op

revision = "002_agent_executions_exports"
down_revision = "001_users_projects_document_versions"
branch_labels = None
depends_on = None

AGENT_EXECUTIONS = """
CREATE TABLE agent_executions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    project_id uuid NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    agent_type varchar(50) NOT NULL,
    correlation_id uuid NOT NULL,
    input_data jsonb,
    output_data jsonb,
    status varchar(50) NOT NULL DEFAULT 'pending',
    error_message text,
    started_at timestamp DEFAULT now(),
    completed_at timestamp
)
"""

EXPORTS = """
CREATE TABLE exports (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    project_id uuid NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    status varchar(50) NOT NULL DEFAULT 'pending',
    file_path text,
    manifest jsonb DEFAULT '{}',
    created_at timestamp DEFAULT now(),
    expires_at timestamp DEFAULT (now() + interval '24 hours')
)
"""

TABLES = ("agent_executions", "exports")


def upgrade() -> None:
    """Create the tables, closed to everybody."""
    for statement in (AGENT_EXECUTIONS, EXPORTS):
        op.execute(statement)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Drop them."""
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
