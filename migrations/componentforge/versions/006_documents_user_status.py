"""Index for a user's documents of one status (CF-15)

Revision: 006_documents_user_status
Revises: 005_messages_conversation_created

The document's remedy for slow queries on documents. It is a prefix of ix_documents_user_status_created and so
redundant; it is here because the document names it (PLAT-14), as with other redundant indexes (X-25, X-41).
"""

from migrations.concurrently import create_index, drop_index

revision = "006_documents_user_status"
down_revision = "005_messages_conversation_created"
branch_labels = None
depends_on = None

NAME = "ix_documents_user_status"


def upgrade() -> None:
    """Build it while the application writes."""
    create_index(NAME, "documents (user_id, processing_status)")


def downgrade() -> None:
    """Drop it."""
    drop_index(NAME)
