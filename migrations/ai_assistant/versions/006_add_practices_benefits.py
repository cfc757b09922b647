"""Search in the benefits of practices (ADA-12)

Revision: 006_add_practices_benefits
Revises: 005_add_rules_examples
"""

from migrations.ai_assistant.sql_files import run_concurrently

revision = "006_add_practices_benefits"
down_revision = "005_add_rules_examples"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What the file says."""
    run_concurrently("006_add_practices_benefits.up.sql")


def downgrade() -> None:
    """The same."""
    run_concurrently("006_add_practices_benefits.down.sql")
