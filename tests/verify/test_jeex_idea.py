"""JEEX Idea's tables, column by column and index by index, as its seed has them with the decisions of X-04 and JEEX-13."""

from __future__ import annotations

import pytest

from environment.products import Product
from ops.session import Superuser
from tests.verify import expect

PRINTED = """
select c.relname::text, concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
           case when a.attnotnull then 'not null' end, 'default ' || pg_get_expr(d.adbin, d.adrelid))
from pg_class c join pg_attribute a on a.attrelid = c.oid
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
union all
select conrelid::regclass::text, concat_ws(' ', conname, pg_get_constraintdef(oid), case when not convalidated then 'NOT VALID' end)
from pg_constraint where connamespace = 'public'::regnamespace and contype in ('c', 'f', 'u', 'p')
union all
select i.indrelid::regclass::text, concat_ws(' ', c.relname, case when indisunique then 'unique' end,
           split_part(pg_get_indexdef(c.oid), ' USING btree ', 2), case when not indisvalid then 'INVALID' end)
from pg_index i join pg_class c on c.oid = i.indexrelid
where c.relnamespace = 'public'::regnamespace and not exists (select from pg_constraint k where k.conindid = c.oid)
"""
"""Table and one line for each column, constraint, and index that belongs to no constraint."""


@pytest.fixture(scope="module")
def schema(jeex_idea: Product, superuser: Superuser) -> dict[str, set[str]]:
    """Table → its lines."""
    with superuser.connect(jeex_idea.name) as connection:
        rows = connection.execute(PRINTED).fetchall()
    found: dict[str, set[str]] = {}
    for table, line in rows:
        short = line.replace("character varying", "varchar").replace("timestamp without time zone", "timestamp")
        found.setdefault(table, set()).add(short.replace("::varchar", "").replace("::jsonb", ""))
    return found


def same_table(schema: dict[str, set[str]], table: str, wanted: str) -> None:
    """Fail unless ``table`` has exactly the ``wanted`` lines."""
    expect.exactly(schema.get(table, set()), [line.strip() for line in wanted.strip().splitlines()], f"{table}:")


def test_users(schema: dict[str, set[str]]) -> None:
    """JEEX-07: users, with the unique index idx_users_email; ids are version 7 by default."""
    same_table(schema, "users", """
        id uuid not null default uuidv7()
        email varchar(255) not null
        name varchar(255) not null
        profile_data jsonb default '{}'
        created_at timestamp default now()
        last_login_at timestamp
        updated_at timestamp default now()
        users_pkey PRIMARY KEY (id)
        users_email_key UNIQUE (email)
        idx_users_email unique (email)
    """)  # fmt: skip


def test_projects(schema: dict[str, set[str]]) -> None:
    """JEEX-08: projects, with steps from 1 to 4 and two indexes."""
    same_table(schema, "projects", """
        id uuid not null default uuidv7()
        name varchar(255) not null
        status varchar(50) not null default 'draft'
        current_step integer default 1
        language varchar(10) not null default 'en'
        created_by uuid
        created_at timestamp default now()
        updated_at timestamp default now()
        projects_pkey PRIMARY KEY (id)
        projects_current_step_check CHECK (((current_step >= 1) AND (current_step <= 4)))
        projects_created_by_fkey FOREIGN KEY (created_by) REFERENCES users(id)
        idx_projects_created (created_at DESC)
        idx_projects_user_status (created_by, status, updated_at DESC)
    """)  # fmt: skip


def test_document_versions(schema: dict[str, set[str]]) -> None:
    """JEEX-09, JEEX-13: document_versions, unique by project, type and version, the project never null."""
    same_table(schema, "document_versions", """
        id uuid not null default uuidv7()
        project_id uuid not null
        document_type varchar(50) not null
        version integer not null
        content text not null
        metadata jsonb default '{}'
        created_by uuid
        created_at timestamp default now()
        document_versions_pkey PRIMARY KEY (id)
        document_versions_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects(id) ON DELETE CASCADE
        document_versions_created_by_fkey FOREIGN KEY (created_by) REFERENCES users(id)
        idx_documents_project_type (project_id, document_type)
        idx_documents_project_version (project_id, version DESC)
        idx_documents_unique_version unique (project_id, document_type, version)
    """)  # fmt: skip


def test_agent_executions(schema: dict[str, set[str]]) -> None:
    """JEEX-10, JEEX-13: agent_executions with three indexes."""
    same_table(schema, "agent_executions", """
        id uuid not null default uuidv7()
        project_id uuid not null
        agent_type varchar(50) not null
        correlation_id uuid not null
        input_data jsonb
        output_data jsonb
        status varchar(50) not null default 'pending'
        error_message text
        started_at timestamp default now()
        completed_at timestamp
        agent_executions_pkey PRIMARY KEY (id)
        agent_executions_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects(id) ON DELETE CASCADE
        idx_executions_project (project_id, started_at DESC)
        idx_executions_correlation (correlation_id)
        idx_executions_status (status, started_at)
    """)  # fmt: skip


def test_exports(schema: dict[str, set[str]]) -> None:
    """JEEX-11, JEEX-13: exports, which expire after a day, with an index on the completed ones."""
    same_table(schema, "exports", """
        id uuid not null default uuidv7()
        project_id uuid not null
        status varchar(50) not null default 'pending'
        file_path text
        manifest jsonb default '{}'
        created_at timestamp default now()
        expires_at timestamp default (now() + '24:00:00'::interval)
        exports_pkey PRIMARY KEY (id)
        exports_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects(id) ON DELETE CASCADE
        idx_exports_project (project_id)
        idx_exports_expires (expires_at) WHERE ((status)::text = 'completed'::text)
    """)  # fmt: skip
