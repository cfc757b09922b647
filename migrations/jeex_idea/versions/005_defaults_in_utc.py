"""Moments without a time zone begin in UTC, whatever zone the client's session is in (X-05)

Revision: 005_defaults_in_utc
Revises: 004_documents_created_by

A driver may choose the session's time zone: the JVM's does, and so does PGTZ. `now()` then became the time of that zone,
next to an updated_at in UTC. Rows that were stored so stay as they are: nothing says in which zone they were meant.
"""

from alembic import op

revision = "005_defaults_in_utc"
down_revision = "004_documents_created_by"
branch_labels = None
depends_on = None

COLUMNS = {
    "agent_executions": ("started_at",),
    "document_versions": ("created_at",),
    "exports": ("created_at",),
    "projects": ("created_at", "updated_at"),
    "users": ("created_at", "updated_at"),
}


def upgrade() -> None:
    """Say the zone in each default."""
    _set("timezone('UTC', now())")
    op.execute("ALTER TABLE exports ALTER COLUMN expires_at SET DEFAULT timezone('UTC', now()) + interval '24 hours'")


def downgrade() -> None:
    """The document's defaults, which mean the session's zone."""
    _set("now()")
    op.execute("ALTER TABLE exports ALTER COLUMN expires_at SET DEFAULT now() + interval '24 hours'")


def _set(default: str) -> None:
    for table, columns in COLUMNS.items():
        changes = ", ".join(f"ALTER COLUMN {column} SET DEFAULT {default}" for column in columns)
        op.execute(f"ALTER TABLE {table} {changes}")
