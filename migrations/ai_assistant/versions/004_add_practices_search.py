"""Full-text search over practices (ADA-11)

Revision: 004_add_practices_search
Revises: 003_add_rules_search
"""

from migrations.ai_assistant.sql_files import run_concurrently

revision = "004_add_practices_search"
down_revision = "003_add_rules_search"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What the file says."""
    run_concurrently("004_add_practices_search.up.sql")


def downgrade() -> None:
    """The same."""
    run_concurrently("004_add_practices_search.down.sql")
