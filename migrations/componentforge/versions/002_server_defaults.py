"""Defaults of columns in the database, not only in the application (X-39)

Revision: 002_server_defaults
Revises: 001_add_requirement_exports

As the example migration does for requirement_exports: an INSERT by hand or from another program gets them too. Rows
stay as they are, and no table is rewritten or scanned; each ALTER TABLE holds its lock for a moment.
"""

from alembic import op

revision = "002_server_defaults"
down_revision = "001_add_requirement_exports"
branch_labels = None
depends_on = None

DEFAULTS = {
    "users": {"is_active": "true", "is_admin": "false", "preferences": "'{}'"},
    "documents": {"processing_status": "'pending'", "chunk_count": "0"},
    "conversations": {
        "model_name": "'gpt-4'",
        "temperature": "0.7",
        "status": "'active'",
        "message_count": "0",
        "total_tokens_used": "0",
    },
    "embedding_models": {"is_active": "true"},
    "evaluation_runs": {"status": "'pending'"},
}


def upgrade() -> None:
    """Set them."""
    for table, columns in DEFAULTS.items():
        changes = (f"ALTER {column} SET DEFAULT {default}" for column, default in columns.items())
        op.execute(f"ALTER TABLE {table} {', '.join(changes)}")


def downgrade() -> None:
    """Leave them to the application again."""
    for table, columns in DEFAULTS.items():
        changes = (f"ALTER {column} DROP DEFAULT" for column in columns)
        op.execute(f"ALTER TABLE {table} {', '.join(changes)}")
