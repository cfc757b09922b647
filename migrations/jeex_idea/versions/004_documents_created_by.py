"""An index for the foreign key of who wrote a document, the only one without (Q-31)

Deleting a user asks document_versions for rows of his, and read it whole.

Revision: 004_documents_created_by
Revises: 003_indexes
"""

from migrations import concurrently

revision = "004_documents_created_by"
down_revision = "003_indexes"
branch_labels = None
depends_on = None

NAME = "idx_documents_created_by"


def upgrade() -> None:
    """Build it while documents are written."""
    concurrently.create_index(NAME, "document_versions (created_by)")


def downgrade() -> None:
    """Drop it."""
    concurrently.drop_index(NAME)
