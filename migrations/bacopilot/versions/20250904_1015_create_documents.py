"""Documents: requirements specifications (BAC-14)

Revision: 20250904_1015_create_documents
Revises: 20250903_0930_create_users
"""

from alembic import op

revision = "20250904_1015_create_documents"
down_revision = "20250903_0930_create_users"
branch_labels = None
depends_on = None

DOCUMENTS = """
CREATE TABLE documents (
    document_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    project_name varchar(500) NOT NULL,
    content text NOT NULL,
    metadata jsonb DEFAULT '{}',
    status varchar(50) DEFAULT 'draft',
    version integer DEFAULT 1,
    file_path varchar(1000),
    created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz DEFAULT CURRENT_TIMESTAMP
)
"""

INDEXES = {
    "idx_documents_user_id": "documents (user_id)",
    "idx_documents_project_name": "documents (project_name)",
    "idx_documents_status": "documents (status)",
    "idx_documents_created_at": "documents (created_at)",
    "idx_documents_metadata": "documents USING gin (metadata)",
}


def upgrade() -> None:
    """Create the table, closed to everybody, with its indexes."""
    op.execute(DOCUMENTS)
    op.execute("ALTER TABLE documents ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for name, definition in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {definition}")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE documents")
