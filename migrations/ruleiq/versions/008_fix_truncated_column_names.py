"""The nine column names that were cut, in full (RIQ-23, RIQ-24, Q-20, Q-22, X-31)

Revision: 008_fix_truncated_column_names
Revises: 007_add_evidence_metadata

Only names change: no row is touched, and indexes, foreign keys, policies and views follow a rename by themselves.
Each table is locked for the moment of its renames, all in one transaction, so nobody sees half of them.
A program that uses the old names fails from here on: docs/ruleiq-column-names.md says what to change and how to switch.
The names are written out here, not read from product.yaml: a revision stays what it was.
"""

from alembic import op

revision = "008_fix_truncated_column_names"
down_revision = "007_add_evidence_metadata"
branch_labels = None
depends_on = None

RENAMED = (
    ("business_profiles", "handles_persona", "handles_personal_data"),
    ("business_profiles", "processes_payme", "processes_payments"),
    ("business_profiles", "stores_health_d", "stores_health_data"),
    ("business_profiles", "provides_financ", "provides_financial_services"),
    ("business_profiles", "operates_critic", "operates_critical_infrastructure"),
    ("business_profiles", "has_internation", "has_international_operations"),
    ("assessment_sessions", "business_profil", "business_profile_id"),
    ("assessment_sessions", "questions_answe", "questions_answered"),
    ("generated_policies", "business_profil", "business_profile_id"),
)


def upgrade() -> None:
    """Give each column its name."""
    for table, old, new in RENAMED:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def downgrade() -> None:
    """Cut all nine again."""
    for table, old, new in reversed(RENAMED):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}")
