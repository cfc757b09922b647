"""When a message was changed (X-26, BAC-21)

Revision: 20260209_1530_add_messages_updated_at
Revises: 20260112_1040_index_diagrams_metadata

A matter of the catalogue, whatever the number of messages: the default is evaluated once and not written to any row.
Messages that are there already so read as changed now, which is when they became changeable; writing `timestamp` into
each would double the largest table for a value that `timestamp` has anyway.
"""

from alembic import op

revision = "20260209_1530_add_messages_updated_at"
down_revision = "20260112_1040_index_diagrams_metadata"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; the trigger that keeps it comes with db/bacopilot/functions.sql."""
    op.execute("ALTER TABLE messages ADD COLUMN updated_at timestamptz DEFAULT CURRENT_TIMESTAMP")


def downgrade() -> None:
    """Drop it, and first its trigger: without the column no message could be changed any more."""
    op.execute("DROP TRIGGER IF EXISTS messages_touch_updated_at ON messages")
    op.execute("ALTER TABLE messages DROP COLUMN updated_at")
