"""Diagrams (BAC-18)

Revision: 20250925_0945_create_diagrams
Revises: 20250917_1120_create_conversations_and_messages
"""

from alembic import op

revision = "20250925_0945_create_diagrams"
down_revision = "20250917_1120_create_conversations_and_messages"
branch_labels = None
depends_on = None

DIAGRAMS = """
CREATE TABLE diagrams (
    diagram_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    title varchar(500) NOT NULL,
    diagram_type varchar(50) NOT NULL
        CHECK (diagram_type IN ('sequence', 'architecture', 'usecase', 'flowchart')),
    mermaid_code text NOT NULL,
    preview_url varchar(1000),
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz DEFAULT CURRENT_TIMESTAMP
)
"""

INDEXES = {
    "idx_diagrams_user_id": "diagrams (user_id)",
    "idx_diagrams_type": "diagrams (diagram_type)",
    "idx_diagrams_title": "diagrams (title)",
    "idx_diagrams_created_at": "diagrams (created_at)",
}


def upgrade() -> None:
    """Create the table, closed to everybody, with its indexes."""
    op.execute(DIAGRAMS)
    op.execute("ALTER TABLE diagrams ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for name, definition in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {definition}")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE diagrams")
