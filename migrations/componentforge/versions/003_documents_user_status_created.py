"""Index for a user's documents of one status by date (CF-14, CF-23)

Revision: 003_documents_user_status_created
Revises: 002_server_defaults

The first of the document's two indexes for large scale.
"""

from migrations.concurrently import create_index, drop_index

revision = "003_documents_user_status_created"
down_revision = "002_server_defaults"
branch_labels = None
depends_on = None

NAME = "ix_documents_user_status_created"


def upgrade() -> None:
    """Build it while the application writes."""
    create_index(NAME, "documents (user_id, processing_status, created_at)")


def downgrade() -> None:
    """Drop it."""
    drop_index(NAME)
