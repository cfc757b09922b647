"""Rules and practices, with the indexes that their lists need (ADA-07, ADA-08, ADA-10)

Revision: 001_initial
Revises: nothing
"""

from migrations.ai_assistant.sql_files import run

revision = "001_initial"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What the file says."""
    run("001_initial.up.sql")


def downgrade() -> None:
    """The same."""
    run("001_initial.down.sql")
