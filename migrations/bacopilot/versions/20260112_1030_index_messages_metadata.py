"""Index the metadata of messages (X-27, BAC-22)

Revision: 20260112_1030_index_messages_metadata
Revises: 20260112_1020_index_conversations_metadata
"""

from migrations import concurrently

revision = "20260112_1030_index_messages_metadata"
down_revision = "20260112_1020_index_conversations_metadata"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build it while messages are read and written."""
    concurrently.create_index("idx_messages_metadata", "messages USING gin (metadata)")


def downgrade() -> None:
    """Drop it."""
    concurrently.drop_index("idx_messages_metadata")
