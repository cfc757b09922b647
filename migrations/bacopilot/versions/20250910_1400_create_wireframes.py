"""Wireframes (BAC-15)

Revision: 20250910_1400_create_wireframes
Revises: 20250904_1015_create_documents
"""

from alembic import op

revision = "20250910_1400_create_wireframes"
down_revision = "20250904_1015_create_documents"
branch_labels = None
depends_on = None

WIREFRAMES = """
CREATE TABLE wireframes (
    wireframe_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    title varchar(500) NOT NULL,
    html_content text,
    css_styles text,
    metadata jsonb DEFAULT '{}',
    template_type varchar(100),
    preview_url varchar(1000),
    created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz DEFAULT CURRENT_TIMESTAMP
)
"""

INDEXES = {
    "idx_wireframes_user_id": "wireframes (user_id)",
    "idx_wireframes_title": "wireframes (title)",
    "idx_wireframes_template_type": "wireframes (template_type)",
    "idx_wireframes_created_at": "wireframes (created_at)",
}


def upgrade() -> None:
    """Create the table, closed to everybody, with its indexes."""
    op.execute(WIREFRAMES)
    op.execute("ALTER TABLE wireframes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for name, definition in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {definition}")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE wireframes")
