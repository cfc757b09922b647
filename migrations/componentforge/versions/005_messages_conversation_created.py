"""Index for a conversation's messages in order (CF-15)

Revision: 005_messages_conversation_created
Revises: 004_messages_conversation_tokens

The document's remedy for slow queries on messages.
"""

from migrations.concurrently import create_index, drop_index

revision = "005_messages_conversation_created"
down_revision = "004_messages_conversation_tokens"
branch_labels = None
depends_on = None

NAME = "ix_messages_conversation_created"


def upgrade() -> None:
    """Build it while the application writes."""
    create_index(NAME, "messages (conversation_id, created_at)")


def downgrade() -> None:
    """Drop it."""
    drop_index(NAME)
