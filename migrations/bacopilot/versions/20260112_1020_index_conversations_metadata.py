"""Index the metadata of conversations (X-27, BAC-22)

Revision: 20260112_1020_index_conversations_metadata
Revises: 20260112_1010_index_wireframes_metadata
"""

from migrations import concurrently

revision = "20260112_1020_index_conversations_metadata"
down_revision = "20260112_1010_index_wireframes_metadata"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build it while conversations are read and written."""
    concurrently.create_index("idx_conversations_metadata", "conversations USING gin (metadata)")


def downgrade() -> None:
    """Drop it."""
    concurrently.drop_index("idx_conversations_metadata")
