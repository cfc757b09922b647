"""Moments without a time zone begin in UTC, whatever zone the client's session is in (X-05)

Revision: 013_defaults_in_utc
Revises: 012_enable_row_level_security

A driver may choose the session's time zone: the JVM's does, and so does PGTZ. `CURRENT_TIMESTAMP` then became the time of that zone,
next to an updated_at in UTC. Rows that were stored so stay as they are: nothing says in which zone they were meant.
"""

from alembic import op

revision = "013_defaults_in_utc"
down_revision = "012_enable_row_level_security"
branch_labels = None
depends_on = None

COLUMNS = {
    "assessment_sessions": ("created_at", "updated_at"),
    "business_profiles": ("created_at", "updated_at"),
    "chat_conversations": ("created_at", "updated_at"),
    "compliance_frameworks": ("created_at", "updated_at"),
    "evidence_items": ("created_at", "updated_at"),
    "generated_policies": ("created_at", "updated_at"),
    "implementation_plans": ("created_at", "updated_at"),
    "integration_configurations": ("created_at", "updated_at"),
    "readiness_assessments": ("created_at", "updated_at"),
    "report_schedules": ("created_at", "updated_at"),
    "users": ("created_at", "updated_at"),
}


def upgrade() -> None:
    """Say the zone in each default."""
    _set("timezone('UTC', CURRENT_TIMESTAMP)")


def downgrade() -> None:
    """The document's defaults, which mean the session's zone."""
    _set("CURRENT_TIMESTAMP")


def _set(default: str) -> None:
    for table, columns in COLUMNS.items():
        changes = ", ".join(f"ALTER COLUMN {column} SET DEFAULT {default}" for column in columns)
        op.execute(f"ALTER TABLE {table} {changes}")
