"""Archive tables (ADA-14) and the record of hard deletes (ADA-13, X-49)

Revision: 008
Revises: 007
"""

from migrations.ai_assistant.sql_files import run

revision = "008"
down_revision = "007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What the file says."""
    run("008_add_archive.up.sql")


def downgrade() -> None:
    """The same."""
    run("008_add_archive.down.sql")
