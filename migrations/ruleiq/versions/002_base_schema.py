"""Core entity relationships: frameworks, what is planned and checked by them, conversations, policies (RIQ-08, RIQ-09)

Revision: 002_base_schema
Revises: 001_initial_migration

The document names these tables without DDL: they have what their relations need and little more (X-33, Q-21).
generated_policies names its profile by a column that was cut, and without a foreign key, as assessment_sessions does.
"""

from alembic import op

revision = "002_base_schema"
down_revision = "001_initial_migration"
branch_labels = None
depends_on = None

COMPLIANCE_FRAMEWORKS = """
CREATE TABLE compliance_frameworks (
    id varchar(50) PRIMARY KEY,
    name varchar(255) NOT NULL,
    description text,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
)
"""

IMPLEMENTATION_PLANS = """
CREATE TABLE implementation_plans (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    framework_id varchar(50) NOT NULL REFERENCES compliance_frameworks (id) ON DELETE CASCADE,
    plan_name varchar(255) NOT NULL,
    steps jsonb NOT NULL DEFAULT '[]',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
)
"""

READINESS_ASSESSMENTS = """
CREATE TABLE readiness_assessments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    framework_id varchar(50) NOT NULL REFERENCES compliance_frameworks (id) ON DELETE CASCADE,
    assessment_name varchar(255) NOT NULL,
    criteria jsonb NOT NULL DEFAULT '[]',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
)
"""

CHAT_CONVERSATIONS = """
CREATE TABLE chat_conversations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title varchar(255),
    messages jsonb NOT NULL DEFAULT '[]',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
)
"""

GENERATED_POLICIES = """
CREATE TABLE generated_policies (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    business_profil uuid,
    policy_name varchar(255) NOT NULL,
    content text,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
)
"""

INDEXES = {  # of foreign keys; the tables are new, so not CONCURRENTLY
    "idx_implementation_plans_framework_id": "implementation_plans (framework_id)",
    "idx_readiness_assessments_framework_id": "readiness_assessments (framework_id)",
    "idx_chat_conversations_user_id": "chat_conversations (user_id)",
    "idx_generated_policies_user_id": "generated_policies (user_id)",
}

TABLES = (
    "compliance_frameworks",
    "implementation_plans",
    "readiness_assessments",
    "chat_conversations",
    "generated_policies",
)


def upgrade() -> None:
    """Create the tables with their indexes."""
    for statement in (
        COMPLIANCE_FRAMEWORKS,
        IMPLEMENTATION_PLANS,
        READINESS_ASSESSMENTS,
        CHAT_CONVERSATIONS,
        GENERATED_POLICIES,
    ):
        op.execute(statement)
    for name, definition in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {definition}")


def downgrade() -> None:
    """Drop them."""
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
