"""Query optimization: the document's indexes (RIQ-10)

Revision: 006_add_performance_indexes
Revises: 005_add_business_profile_data_sensitivity

The tables have rows by now: built CONCURRENTLY, one after the other, so that reading and writing go on. The document
has them in one file, so they are one revision. It can be killed and run again: it starts with the first index, dropping
what it finds. The one on ai_metadata comes with its column, in 007. gin_trgm_ops is there: provisioning creates
pg_trgm before any revision (RIQ-02, Q-23).
"""

from migrations.concurrently import create_index, drop_index

revision = "006_add_performance_indexes"
down_revision = "005_add_business_profile_data_sensitivity"
branch_labels = None
depends_on = None

INDEXES = {
    "idx_evidence_user_framework": "evidence_items (user_id, framework_id)",
    "idx_evidence_user_status": "evidence_items (user_id, status)",
    "idx_evidence_name_search": "evidence_items USING gin (evidence_name gin_trgm_ops)",
    "idx_business_profiles_user_id": "business_profiles (user_id)",
    "idx_assessment_sessions_user_id": "assessment_sessions (user_id)",
}


def upgrade() -> None:
    """Build them, each after dropping an INVALID leftover."""
    for name, definition in INDEXES.items():
        create_index(name, definition)


def downgrade() -> None:
    """Drop them."""
    for name in reversed(INDEXES):
        drop_index(name)
