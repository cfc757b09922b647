"""What a product's owner planted is not evaluated where rows and catalogue are read: fingerprints, records, revisions (W0)."""

from __future__ import annotations

import psycopg
import pytest

from keel_host import catalogue
from keel_host.fingerprint import connect, fingerprint
from keel_host.revision import read_revision
from tests.db.planted import DATABASE
from tools.scratch_server import Server

VIEWED = """
alter table alembic.alembic_version rename to kept;
create view alembic.alembic_version as select public.of_number(1)::text as version_num
"""


@pytest.mark.parametrize(
    "query", ["select u::text from users u", "select count(*) from users", "select 'a'::text || 'b'::name"]
)
def test_what_is_planted_would_run(planted: str, query: str) -> None:
    """Plain statements of a superuser on PostgreSQL's own path: the row's text, planning, an operator."""
    with (
        psycopg.connect(planted, options="-c search_path=public") as connection,
        pytest.raises(psycopg.errors.RaiseException, match="planted code runs"),
    ):
        connection.execute(query.encode())


def test_fingerprints_evaluate_nothing(planted: str, server: Server) -> None:
    """W0, PLAT-35: and they tell one content from another."""
    with connect(planted) as connection:
        found = fingerprint(connection)
        assert {name: rows for name, (rows, _) in found.items()} == {
            "alembic.alembic_version": 1, "public.notes": 2, "public.users": 2,
        }  # fmt: skip
        server.execute("update public.notes set said = 'changed' where said = 'two'", DATABASE)
        changed = fingerprint(connection)
    assert changed["public.notes"] != found["public.notes"] and changed["public.notes"][0] == 2
    assert changed["public.users"] == found["public.users"]


def test_the_catalogue_is_read_with_its_own_operators(planted: str) -> None:
    """W0, PLAT-13: and printed as it always was, without the schema `public`."""
    with psycopg.connect(planted) as connection:
        found = catalogue.read(connection)
        assert catalogue.read(connection) == found, "in the same transaction, too"
    assert found["column users.name"] == "checked"
    assert found["policy users.planted"] == "permissive for all to PUBLIC using (of_row((name)::text)) with check (-)"


def test_a_revision_is_a_tables_and_no_views(planted: str, server: Server) -> None:
    """W0: a view in its place is left alone, not evaluated."""
    with connect(planted) as connection:
        assert read_revision(connection) == "012_last"
        server.execute(f"set role planter; {VIEWED}", DATABASE)
        assert read_revision(connection) is None
