"""Indexes for common queries, and for foreign keys that have none (RIQ-15, RIQ-16)

Revision: 011_add_functional_indexes
Revises: 010_add_approval_audit

Built CONCURRENTLY, one after the other, as in 006. RIQ-25 has them as one revision; killed, it leaves at most one
INVALID index, and running again starts with the first one, dropping what it finds.
"""

from migrations.concurrently import create_index, drop_index

revision = "011_add_functional_indexes"
down_revision = "010_add_approval_audit"
branch_labels = None
depends_on = None

INDEXES = {
    "idx_users_email_lower": "users (lower(email))",
    "idx_evidence_user_created": "evidence_items (user_id, created_at DESC)",
    "idx_assessment_sessions_user_updated": "assessment_sessions (user_id, updated_at DESC)",
    "idx_assessment_sessions_business_profile_id": "assessment_sessions (business_profile_id)",
    "idx_assessment_sessions_framework_id": "assessment_sessions (framework_id)",
    "idx_evidence_business_profile_id": "evidence_items (business_profile_id)",
    "idx_evidence_framework_id": "evidence_items (framework_id)",
    "idx_evidence_approved_by": "evidence_items (approved_by)",
    "idx_generated_policies_business_profile_id": "generated_policies (business_profile_id)",
}


def upgrade() -> None:
    """Build them, each after dropping an INVALID leftover."""
    for name, definition in INDEXES.items():
        create_index(name, definition)


def downgrade() -> None:
    """Drop them."""
    for name in reversed(INDEXES):
        drop_index(name)
