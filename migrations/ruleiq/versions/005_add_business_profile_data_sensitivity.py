"""Data classification of business profiles (RIQ-05)

Revision: 005_add_business_profile_data_sensitivity
Revises: 004_add_integration_configs

Existing rows get the default without being rewritten: it is a constant.
"""

from alembic import op

revision = "005_add_business_profile_data_sensitivity"
down_revision = "004_add_integration_configs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what is allowed in it comes with 009."""
    op.execute("ALTER TABLE business_profiles ADD COLUMN data_sensitivity varchar(20) DEFAULT 'Medium'")


def downgrade() -> None:
    """Drop the column with what is in it."""
    op.execute("ALTER TABLE business_profiles DROP COLUMN data_sensitivity")
