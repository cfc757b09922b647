"""Index the metadata of diagrams (X-27, BAC-22)

Revision: 20260112_1040_index_diagrams_metadata
Revises: 20260112_1030_index_messages_metadata
"""

from migrations import concurrently

revision = "20260112_1040_index_diagrams_metadata"
down_revision = "20260112_1030_index_messages_metadata"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build it while diagrams are read and written."""
    concurrently.create_index("idx_diagrams_metadata", "diagrams USING gin (metadata)")


def downgrade() -> None:
    """Drop it."""
    concurrently.drop_index("idx_diagrams_metadata")
