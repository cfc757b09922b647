"""Index for the tokens of a conversation's messages (CF-14, CF-23)

Revision: 004_messages_conversation_tokens
Revises: 003_documents_user_status_created

The second of the document's two indexes for large scale.
"""

from migrations.concurrently import create_index, drop_index

revision = "004_messages_conversation_tokens"
down_revision = "003_documents_user_status_created"
branch_labels = None
depends_on = None

NAME = "ix_messages_conversation_tokens"


def upgrade() -> None:
    """Build it while the application writes."""
    create_index(NAME, "messages (conversation_id, total_tokens)")


def downgrade() -> None:
    """Drop it."""
    drop_index(NAME)
