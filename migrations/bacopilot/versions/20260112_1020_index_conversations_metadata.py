"""Index the metadata of conversations (X-27, BAC-22)

Revision: 20260112_1020
Revises: 20260112_1010
"""

from migrations import concurrently

revision = "20260112_1020"
down_revision = "20260112_1010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build it while conversations are read and written."""
    concurrently.create_index("idx_conversations_metadata", "conversations USING gin (metadata)")


def downgrade() -> None:
    """Drop it."""
    concurrently.drop_index("idx_conversations_metadata")
