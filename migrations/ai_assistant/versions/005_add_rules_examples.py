"""Search in the examples of rules (ADA-12)

Revision: 005_add_rules_examples
Revises: 004_add_practices_search
"""

from migrations.ai_assistant.sql_files import run_concurrently

revision = "005_add_rules_examples"
down_revision = "004_add_practices_search"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What the file says."""
    run_concurrently("005_add_rules_examples.up.sql")


def downgrade() -> None:
    """The same."""
    run_concurrently("005_add_rules_examples.down.sql")
