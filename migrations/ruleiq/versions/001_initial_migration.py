"""Basic table structure: users and business profiles (RIQ-22, RIQ-04, RIQ-05)

Revision: 001_initial_migration
Revises: nothing

As the document has it: six columns of business_profiles carry the names that a tool cut at 15 characters (X-32), until
008, and row-level security comes only with 012. A database that is held before 012 separates no tenants.
"""

from alembic import op

revision = "001_initial_migration"
down_revision = None
branch_labels = None
depends_on = None

USERS = """
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email varchar(255) UNIQUE NOT NULL,
    hashed_password varchar(255) NOT NULL,
    is_active boolean DEFAULT true,
    is_superuser boolean DEFAULT false,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
)
"""

BUSINESS_PROFILES = """
CREATE TABLE business_profiles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    company_name varchar(255) NOT NULL,
    industry varchar(100),
    employee_count integer,
    handles_persona boolean,
    processes_payme boolean,
    stores_health_d boolean,
    provides_financ boolean,
    operates_critic boolean,
    has_internation boolean,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
)
"""


def upgrade() -> None:
    """Create both."""
    op.execute(USERS)
    op.execute(BUSINESS_PROFILES)


def downgrade() -> None:
    """Drop both."""
    op.execute("DROP TABLE business_profiles")
    op.execute("DROP TABLE users")
