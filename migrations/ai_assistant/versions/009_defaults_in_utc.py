"""Moments without a time zone begin in UTC, whatever zone the client's session is in (X-05)

Revision: 009_defaults_in_utc
Revises: 008_add_archive

A driver may choose the session's time zone: the JVM's does, and so does PGTZ. `now()` then became the time of that zone,
next to an updated_at in UTC. Rows that were stored so stay as they are: nothing says in which zone they were meant.
"""

from migrations.ai_assistant.sql_files import run

revision = "009_defaults_in_utc"
down_revision = "008_add_archive"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say the zone in each default."""
    run("009_defaults_in_utc.up.sql")


def downgrade() -> None:
    """The document's defaults, which mean the session's zone."""
    run("009_defaults_in_utc.down.sql")
