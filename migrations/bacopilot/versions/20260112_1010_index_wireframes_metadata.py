"""Index the metadata of wireframes (X-27, BAC-22)

Revision: 20260112_1010_index_wireframes_metadata
Revises: 20250925_0945_create_diagrams
"""

from migrations import concurrently

revision = "20260112_1010_index_wireframes_metadata"
down_revision = "20250925_0945_create_diagrams"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build it while wireframes are read and written."""
    concurrently.create_index("idx_wireframes_metadata", "wireframes USING gin (metadata)")


def downgrade() -> None:
    """Drop it."""
    concurrently.drop_index("idx_wireframes_metadata")
