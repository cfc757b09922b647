"""Archive tables (ADA-14) and the record of hard deletes (ADA-13, X-49)

Revision: 008_add_archive
Revises: 007_add_deactivated_at
"""

from migrations.ai_assistant.sql_files import run

revision = "008_add_archive"
down_revision = "007_add_deactivated_at"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What the file says."""
    run("008_add_archive.up.sql")


def downgrade() -> None:
    """The same."""
    run("008_add_archive.down.sql")
