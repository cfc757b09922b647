"""Assessment and evidence tables (RIQ-06, RIQ-07)

Revision: 003_core_tables
Revises: 002_base_schema

As the document has it: two columns of assessment_sessions are cut, its profile is no foreign key, and that of
evidence_items has no ON DELETE. 008 and 009 put that right.
"""

from alembic import op

revision = "003_core_tables"
down_revision = "002_base_schema"
branch_labels = None
depends_on = None

ASSESSMENT_SESSIONS = """
CREATE TABLE assessment_sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    business_profil uuid,
    framework_id varchar(50) NOT NULL,
    session_name varchar(255),
    status varchar(20) DEFAULT 'not_started',
    questions_answe jsonb,
    progress_percentage numeric(5, 2) DEFAULT 0.0,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
)
"""

EVIDENCE_ITEMS = """
CREATE TABLE evidence_items (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    business_profile_id uuid REFERENCES business_profiles (id),
    framework_id varchar(50),
    evidence_name varchar(255) NOT NULL,
    control_reference varchar(100),
    file_path varchar(500),
    file_type varchar(50),
    file_size integer,
    status varchar(20) DEFAULT 'not_started',
    priority varchar(10) DEFAULT 'medium',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
)
"""


def upgrade() -> None:
    """Create both."""
    op.execute(ASSESSMENT_SESSIONS)
    op.execute(EVIDENCE_ITEMS)


def downgrade() -> None:
    """Drop both, and what 009 and 010 kept for rows that end here."""
    op.execute("DROP TABLE evidence_items")
    op.execute("DROP TABLE assessment_sessions")
    op.execute("DROP TABLE IF EXISTS alembic.cleaned_by_009, alembic.approvals_of_010")
