"""Search in the examples of rules (ADA-12)

Revision: 005
Revises: 004
"""

from migrations.ai_assistant.sql_files import run_concurrently

revision = "005"
down_revision = "004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What the file says."""
    run_concurrently("005_add_rules_examples.up.sql")


def downgrade() -> None:
    """The same."""
    run_concurrently("005_add_rules_examples.down.sql")
