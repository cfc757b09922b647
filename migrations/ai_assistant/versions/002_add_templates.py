"""Templates (ADA-09, ADA-10)

Revision: 002_add_templates
Revises: 001_initial
"""

from migrations.ai_assistant.sql_files import run

revision = "002_add_templates"
down_revision = "001_initial"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What the file says."""
    run("002_add_templates.up.sql")


def downgrade() -> None:
    """The same."""
    run("002_add_templates.down.sql")
