"""Users, documents, chunks, conversations, messages, embedding models, evaluation runs (CF-05 to CF-12)

Revision: 000_initial_schema
Revises: nothing

The tables as the document's models create them; before, ComponentForge had no migrations (X-15). Defaults of
columns are still the application's. Rows of users: row-level security is on before the first row can exist. Without
the policies of db/componentforge/policies.sql nobody but the migrator sees a row.
"""

from alembic import op

revision = "000_initial_schema"
down_revision = None
branch_labels = None
depends_on = None

USERS = """
CREATE TABLE users (
    id serial PRIMARY KEY,
    email varchar(255) NOT NULL,
    username varchar(100) NOT NULL,
    hashed_password varchar(255) NOT NULL,
    is_active boolean NOT NULL,
    is_admin boolean NOT NULL,
    preferences json,
    last_login_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""

DOCUMENTS = """
CREATE TABLE documents (
    id serial PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title varchar(500) NOT NULL,
    filename varchar(500) NOT NULL,
    file_path varchar(1000) NOT NULL,
    content_type varchar(100),
    processing_status varchar(50) NOT NULL,
    extracted_text text,
    embedding_model varchar(100),
    chunk_count integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""

DOCUMENT_CHUNKS = """
CREATE TABLE document_chunks (
    id serial PRIMARY KEY,
    document_id integer NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    chunk_index integer NOT NULL,
    content text NOT NULL,
    vector_id varchar(100),
    embedding_model varchar(100),
    token_count integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_document_chunk_index UNIQUE (document_id, chunk_index)
)
"""

CONVERSATIONS = """
CREATE TABLE conversations (
    id serial PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title varchar(500),
    model_name varchar(100) NOT NULL,
    temperature double precision NOT NULL,
    status varchar(50) NOT NULL,
    message_count integer NOT NULL,
    total_tokens_used integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""

MESSAGES = """
CREATE TABLE messages (
    id serial PRIMARY KEY,
    conversation_id integer NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    parent_message_id integer REFERENCES messages (id) ON DELETE SET NULL,
    role varchar(50) NOT NULL,
    content text NOT NULL,
    prompt_tokens integer,
    completion_tokens integer,
    total_tokens integer,
    context_documents json,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""

EMBEDDING_MODELS = """
CREATE TABLE embedding_models (
    id serial PRIMARY KEY,
    name varchar(100) NOT NULL UNIQUE,
    provider varchar(50) NOT NULL,
    dimension integer NOT NULL,
    max_tokens integer NOT NULL,
    is_active boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""

EVALUATION_RUNS = """
CREATE TABLE evaluation_runs (
    id serial PRIMARY KEY,
    name varchar(200) NOT NULL,
    description text,
    model_name varchar(100) NOT NULL,
    dataset_name varchar(200),
    config json,
    status varchar(50) NOT NULL,
    metrics json,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""

UNIQUE_INDEXES = ("users email", "users username")

INDEXES = (
    # X-41: the document's `index=True` on primary keys, beside the keys' own indexes
    "users id", "documents id", "document_chunks id", "conversations id", "messages id", "embedding_models id",
    "evaluation_runs id",
    "documents user_id", "documents processing_status",
    "document_chunks document_id", "document_chunks vector_id",  # once
    "conversations user_id", "conversations status",
    "messages conversation_id", "messages parent_message_id",
    "evaluation_runs status",
)  # fmt: skip

TENANTS = ("users", "documents", "document_chunks", "conversations", "messages")
SHARED = ("embedding_models", "evaluation_runs")  # CF-18: rows that belong to nobody


def upgrade() -> None:
    """Create the tables, those of users closed to everybody."""
    for statement in (USERS, DOCUMENTS, DOCUMENT_CHUNKS, CONVERSATIONS, MESSAGES, EMBEDDING_MODELS, EVALUATION_RUNS):
        op.execute(statement)
    for unique, indexes in (("UNIQUE ", UNIQUE_INDEXES), ("", INDEXES)):
        for table, column in (index.split() for index in indexes):
            op.execute(f"CREATE {unique}INDEX ix_{table}_{column} ON {table} ({column})")
    for table in TENANTS:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Drop them."""
    for table in (*SHARED, *reversed(TENANTS)):
        op.execute(f"DROP TABLE {table}")
