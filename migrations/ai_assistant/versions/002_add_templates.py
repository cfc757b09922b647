"""Templates (ADA-09, ADA-10)

Revision: 002
Revises: 001
"""

from migrations.ai_assistant.sql_files import run

revision = "002"
down_revision = "001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What the file says."""
    run("002_add_templates.up.sql")


def downgrade() -> None:
    """The same."""
    run("002_add_templates.down.sql")
