"""Users, projects and document versions (JEEX-27, first step)

Revision: 001_users_projects_document_versions
Revises: nothing

Rows of users: row-level security is on before the first row can exist. Without the policies of
db/jeex_idea/policies.sql nobody but the migrator sees a row.
"""

from alembic import op

revision = "001_users_projects_document_versions"
down_revision = None
branch_labels = None
depends_on = None

# uuidv7() is built in from PostgreSQL 18 on. Before, this one: 48 bits of milliseconds over a version 4
# UUID, whose random and variant bits stay, and then the version (RFC 9562, section 5.7).
UUIDV7_BEFORE_18 = """
DO $do$ BEGIN
    IF current_setting('server_version_num')::int < 180000 THEN
        CREATE OR REPLACE FUNCTION public.uuidv7() RETURNS uuid
        LANGUAGE sql VOLATILE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
            select encode(set_byte(stamped, 6, get_byte(stamped, 6) & 15 | 112), 'hex')::uuid
            from (select overlay(uuid_send(gen_random_uuid())
                                 placing substring(milliseconds from 3) from 1 for 6)
                  from (select int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint))
                      as clock (milliseconds)) as version4 (stamped)
        $$;
    END IF;
END $do$
"""

USERS = """
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    email varchar(255) UNIQUE NOT NULL,
    name varchar(255) NOT NULL,
    profile_data jsonb DEFAULT '{}',
    created_at timestamp DEFAULT now(),
    last_login_at timestamp,
    updated_at timestamp DEFAULT now()
)
"""

PROJECTS = """
CREATE TABLE projects (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name varchar(255) NOT NULL,
    status varchar(50) NOT NULL DEFAULT 'draft',
    current_step integer DEFAULT 1 CHECK (current_step BETWEEN 1 AND 4),
    language varchar(10) NOT NULL DEFAULT 'en',
    created_by uuid REFERENCES users (id),
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now()
)
"""

DOCUMENT_VERSIONS = """
CREATE TABLE document_versions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    project_id uuid NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    document_type varchar(50) NOT NULL,
    version integer NOT NULL,
    content text NOT NULL,
    metadata jsonb DEFAULT '{}',
    created_by uuid REFERENCES users (id),
    created_at timestamp DEFAULT now()
)
"""

TABLES = ("users", "projects", "document_versions")


def upgrade() -> None:
    """Create the tables, closed to everybody."""
    op.execute(UUIDV7_BEFORE_18)
    for statement in (USERS, PROJECTS, DOCUMENT_VERSIONS):
        op.execute(statement)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Drop them, and the function where it is Keel's."""
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION IF EXISTS public.uuidv7()")
