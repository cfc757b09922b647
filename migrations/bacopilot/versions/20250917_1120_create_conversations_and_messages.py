"""Conversations and their messages (BAC-16, BAC-17)

Revision: 20250917_1120_create_conversations_and_messages
Revises: 20250910_1400_create_wireframes
"""

from alembic import op

revision = "20250917_1120_create_conversations_and_messages"
down_revision = "20250910_1400_create_wireframes"
branch_labels = None
depends_on = None

CONVERSATIONS = """
CREATE TABLE conversations (
    conversation_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    title varchar(500) NOT NULL,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz DEFAULT CURRENT_TIMESTAMP
)
"""

MESSAGES = """
CREATE TABLE messages (
    message_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL REFERENCES conversations (conversation_id) ON DELETE CASCADE,
    role varchar(20) NOT NULL CHECK (role IN ('user', 'assistant', 'system')),
    content text NOT NULL,
    metadata jsonb DEFAULT '{}',
    token_count integer,
    timestamp timestamptz DEFAULT CURRENT_TIMESTAMP
)
"""

INDEXES = {
    "idx_conversations_user_id": "conversations (user_id)",
    "idx_conversations_title": "conversations (title)",
    "idx_conversations_created_at": "conversations (created_at)",
    "idx_messages_conversation_id": "messages (conversation_id)",
    "idx_messages_timestamp": "messages (timestamp)",
    "idx_messages_role": "messages (role)",
}


def upgrade() -> None:
    """Create the tables, closed to everybody, with their indexes."""
    op.execute(CONVERSATIONS)
    op.execute("ALTER TABLE conversations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    op.execute(MESSAGES)
    op.execute("ALTER TABLE messages ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for name, definition in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {definition}")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE messages")
    op.execute("DROP TABLE conversations")
