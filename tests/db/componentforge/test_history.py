"""ComponentForge's revisions, with rows in the tables, and its seeds."""

import pytest
from alembic import command

from db import migrate
from environment.products import Product
from tests.db.fixtures import only
from tests.db.steps import revisions
from tools.scratch_server import Server

product = only("componentforge")

EXPORTS = "requirement_exports"


def contents(server: Server, product: Product) -> dict[str, str]:
    """Table → its rows, for the tables there are."""
    tables = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", product.name)
    digest = "SELECT string_agg(to_jsonb(t)::text, ' ' ORDER BY id) FROM {} t"
    return {table: server.execute(digest.format(table), product.name)[0][0] for (table,) in tables}


def test_rows_stay_on_every_step_down_and_up(server: Server, product: Product, empty: str) -> None:
    """PLAT-27, CF-22, CF-23: one revision at a time; only the table that a step drops loses its rows."""
    migrate.upgrade(product, empty)
    migrate.seed(product, empty, "reference", production=False)
    migrate.seed(product, empty, "demo", production=False)
    rows = contents(server, product)
    assert None not in rows.values()
    assert set(rows) == set(product.tables)

    config = migrate.config(product, empty)
    ids = [revision.revision for revision in revisions(product)]
    assert ids[1] == "001_add_requirement_exports"
    for revision in ids[-2:0:-1]:
        command.downgrade(config, "-1")
        assert (migrate.current(product, empty), contents(server, product)) == (revision, rows)
    command.downgrade(config, "-1")
    kept = {table: content for table, content in rows.items() if table != EXPORTS}
    assert (migrate.current(product, empty), contents(server, product)) == (ids[0], kept)
    for revision in ids[1:]:
        command.upgrade(config, "+1")
        assert (migrate.current(product, empty), contents(server, product)) == (revision, kept | {EXPORTS: None})
    assert migrate.differences(product, empty) == []
    command.downgrade(config, "base")
    assert contents(server, product) == {}


def test_the_example_migration_is_the_second_step(server: Server, product: Product, empty: str) -> None:
    """CF-22, Q-10, X-40: 001 makes the table with its indexes and the name of its foreign key, and needs users."""
    config = migrate.config(product, empty)
    command.upgrade(config, "000")
    assert EXPORTS not in contents(server, product)
    command.upgrade(config, "001_add_requirement_exports")
    indexes = server.execute(f"SELECT indexname FROM pg_indexes WHERE tablename = '{EXPORTS}' ORDER BY 1", product.name)
    assert [name for (name,) in indexes] == [
        "ix_requirement_exports_component_type",
        "ix_requirement_exports_id",
        "ix_requirement_exports_user_id",
        "requirement_exports_pkey",
    ]
    keys = (
        "SELECT conname, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND conrelid = '{}'::regclass"
    )
    assert server.execute(keys.format(EXPORTS), product.name) == [("fk_requirement_exports_user_id", "users")]


@pytest.mark.parametrize("revision", ["000", "001"])
def test_a_new_table_is_closed_until_its_policies_come(
    server: Server, product: Product, empty: str, revision: str
) -> None:
    """PLAT-15: the revision that makes a table of users' rows enables and forces row-level security."""
    command.upgrade(migrate.config(product, empty), revision)
    open_tables = server.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        " AND NOT (relrowsecurity AND relforcerowsecurity) ORDER BY 1",
        product.name,
    )
    assert [name for (name,) in open_tables] == ["embedding_models", "evaluation_runs"]


@pytest.mark.parametrize(
    ("before", "index", "definition"),
    [
        ("002", "ix_documents_user_status_created", "documents USING btree (user_id, processing_status, created_at)"),
        ("003", "ix_messages_conversation_tokens", "messages USING btree (conversation_id, total_tokens)"),
        ("004", "ix_messages_conversation_created", "messages USING btree (conversation_id, created_at)"),
        ("005", "ix_documents_user_status", "documents USING btree (user_id, processing_status)"),
    ],
)
def test_what_a_killed_build_leaves_is_made_anew(
    server: Server, product: Product, empty: str, before: str, index: str, definition: str
) -> None:
    """CF-14, CF-15, CF-23, PLAT-14: an INVALID index of the name is not taken for the real one."""
    config = migrate.config(product, empty)
    command.upgrade(config, before)
    table = definition.split()[0]
    server.execute(f"CREATE INDEX {index} ON {table} (id)", product.name)
    server.execute(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{index}'::regclass", product.name)
    command.upgrade(config, "+1")
    made = f"SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index WHERE indexrelid = '{index}'::regclass"
    assert server.execute(made, product.name) == [(f"CREATE INDEX {index} ON public.{definition}", True)]


def test_seeds_run_twice(server: Server, product: Product, empty: str) -> None:
    """PLAT-30, CF-25: the same rows afterwards; the reference is for production, demo rows are not."""
    migrate.upgrade(product, empty)
    models = "SELECT name, provider, dimension, max_tokens, is_active FROM embedding_models WHERE id > 0 ORDER BY id"
    reference = [
        ("text-embedding-3-small", "openai", 1536, 8191, True),
        ("text-embedding-3-large", "openai", 3072, 8191, False),
    ]
    states = " UNION ALL ".join(f"SELECT '{table}', id, xmin::text FROM {table}" for table in product.tables)
    seen = []
    for _ in range(2):
        assert migrate.seed(product, empty, "reference", production=True)
        assert server.execute(models, product.name) == reference
        assert migrate.seed(product, empty, "demo", production=False)
        seen.append(sorted(server.execute(states, product.name)))
    assert seen[0] == seen[1]
    assert {table for table, *_ in seen[0]} == set(product.tables)
    with pytest.raises(migrate.MigrationError, match="demo is not for production"):
        migrate.seed(product, empty, "demo", production=True)
