"""Users (BAC-13)

Revision: 20250903_0930_create_users
Revises: nothing

Row-level security is on before the first row can exist: without the policies of db/bacopilot/policies.sql nobody but
the migrator sees a row. The same holds for every table after it.
"""

from alembic import op

revision = "20250903_0930_create_users"
down_revision = None
branch_labels = None
depends_on = None

USERS = """
CREATE TABLE users (
    user_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email varchar(255) UNIQUE NOT NULL,
    password_hash varchar(255) NOT NULL,
    full_name varchar(255) NOT NULL,
    organization varchar(255),
    preferences jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    is_active boolean DEFAULT true
)
"""

INDEXES = {
    "idx_users_email": "users (email)",  # beside users_email_key, because the seed names it
    "idx_users_created_at": "users (created_at)",
    "idx_users_active": "users (is_active)",
}


def upgrade() -> None:
    """Create the table, closed to everybody, with its indexes."""
    op.execute(USERS)
    op.execute("ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for name, definition in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {definition}")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE users")
