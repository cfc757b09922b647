"""AI metadata of evidence, with its GIN index (RIQ-07, RIQ-10)

Revision: 007_add_evidence_metadata
Revises: 006_add_performance_indexes

The index is built CONCURRENTLY, which ends the transaction that adds the column. So the revision can be killed between
the two, and run again: IF NOT EXISTS is for that.
"""

from alembic import op

from migrations.concurrently import create_index, drop_index

revision = "007_add_evidence_metadata"
down_revision = "006_add_performance_indexes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, then build its index."""
    op.execute("ALTER TABLE evidence_items ADD COLUMN IF NOT EXISTS ai_metadata jsonb")
    create_index("idx_evidence_ai_metadata_gin", "evidence_items USING gin (ai_metadata)")


def downgrade() -> None:
    """Drop index and column."""
    drop_index("idx_evidence_ai_metadata_gin")
    op.execute("SET lock_timeout = '5s'")
    op.execute("ALTER TABLE evidence_items DROP COLUMN ai_metadata")
