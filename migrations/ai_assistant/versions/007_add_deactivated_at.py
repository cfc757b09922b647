"""Since when a record is inactive, so that two years can be counted (ADA-14)

Revision: 007_add_deactivated_at
Revises: 006_add_practices_benefits
Lock: the tables are closed while their inactive rows are filled, which are few; a moment that is filled in a later
transaction could meet a row that was deactivated in between.
"""

from migrations.ai_assistant.sql_files import run

revision = "007_add_deactivated_at"
down_revision = "006_add_practices_benefits"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What the file says."""
    run("007_add_deactivated_at.up.sql")


def downgrade() -> None:
    """The same."""
    run("007_add_deactivated_at.down.sql")
