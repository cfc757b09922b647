"""What documents said before (X-28, BAC-20)

Revision: 20260316_0900_create_document_versions
Revises: 20260209_1530_add_messages_updated_at

Holds superseded versions only; the current one stays in `documents`. So nothing has to be copied here, and no document
changed between this revision and its trigger is missing more than before. The foreign key's index is that of the
unique constraint.
"""

from alembic import op

revision = "20260316_0900_create_document_versions"
down_revision = "20260209_1530_add_messages_updated_at"
branch_labels = None
depends_on = None

DOCUMENT_VERSIONS = """
CREATE TABLE document_versions (
    version_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    document_id uuid NOT NULL REFERENCES documents (document_id) ON DELETE CASCADE,
    version integer NOT NULL,
    content text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (document_id, version)
)
"""


def upgrade() -> None:
    """Create the table, closed to everybody."""
    op.execute(DOCUMENT_VERSIONS)
    op.execute("ALTER TABLE document_versions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Drop it, and first the trigger that writes to it: without the table no document could be changed any more."""
    op.execute("DROP TRIGGER IF EXISTS documents_keep_version ON documents")
    op.execute("DROP FUNCTION IF EXISTS public.keep_document_version()")
    op.execute("DROP TABLE document_versions")
