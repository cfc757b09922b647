"""Add requirement exports (CF-13, CF-22)

Revision: 001_add_requirement_exports
Revises: 000_initial_schema

The document's example migration, with the identifiers that it lacks (Q-10), and its name of the foreign key (X-40).
The document's model also asks for ix_requirement_exports_id (X-41). Rows of users: closed from the start.
"""

from alembic import op

revision = "001_add_requirement_exports"
down_revision = "000_initial_schema"
branch_labels = None
depends_on = None

REQUIREMENT_EXPORTS = """
CREATE TABLE requirement_exports (
    id serial PRIMARY KEY,
    user_id integer NOT NULL,
    component_type varchar(100) NOT NULL,
    requirements json NOT NULL,
    approved_count integer NOT NULL DEFAULT 0,
    edited_count integer NOT NULL DEFAULT 0,
    custom_added_count integer NOT NULL DEFAULT 0,
    proposal_latency_ms integer,
    used_in_pattern_retrieval boolean NOT NULL DEFAULT false,
    used_in_code_generation boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fk_requirement_exports_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
)
"""


def upgrade() -> None:
    """Create the table, closed to everybody."""
    op.execute(REQUIREMENT_EXPORTS)
    for column in ("id", "user_id", "component_type"):
        op.execute(f"CREATE INDEX ix_requirement_exports_{column} ON requirement_exports ({column})")
    op.execute("ALTER TABLE requirement_exports ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE requirement_exports")
