"""Indexes and the unique ones among them (JEEX-27, third step)

Revision: 003_indexes
Revises: 002_agent_executions_exports

Lock: in one transaction and not CONCURRENTLY, for the tables are as old as this history and still empty.
"""

from alembic import op

revision = "003_indexes"
down_revision = "002_agent_executions_exports"
branch_labels = None
depends_on = None

INDEXES = {
    "idx_projects_created": "projects (created_at DESC)",
    "idx_projects_user_status": "projects (created_by, status, updated_at DESC)",
    "idx_documents_project_type": "document_versions (project_id, document_type)",
    "idx_documents_project_version": "document_versions (project_id, version DESC)",
    "idx_executions_project": "agent_executions (project_id, started_at DESC)",
    "idx_executions_correlation": "agent_executions (correlation_id)",
    "idx_executions_status": "agent_executions (status, started_at)",
    "idx_exports_project": "exports (project_id)",
    "idx_exports_expires": "exports (expires_at) WHERE status = 'completed'",
}

UNIQUE_INDEXES = {
    "idx_documents_unique_version": "document_versions (project_id, document_type, version)",
    "idx_users_email": "users (email)",  # beside users_email_key, because the seed names it
}


def upgrade() -> None:
    """Create them all."""
    for name, definition in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {definition}")
    for name, definition in UNIQUE_INDEXES.items():
        op.execute(f"CREATE UNIQUE INDEX {name} ON {definition}")


def downgrade() -> None:
    """Drop them all."""
    for name in (*UNIQUE_INDEXES, *INDEXES):
        op.execute(f"DROP INDEX {name}")
