"""Full-text search over rules (ADA-11)

Revision: 003_add_rules_search
Revises: 002_add_templates
"""

from migrations.ai_assistant.sql_files import run_concurrently

revision = "003_add_rules_search"
down_revision = "002_add_templates"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What the file says."""
    run_concurrently("003_add_rules_search.up.sql")


def downgrade() -> None:
    """The same."""
    run_concurrently("003_add_rules_search.down.sql")
