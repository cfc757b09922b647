"""Functions, policies and grants: what differs is told, and applying the files repairs it."""

import pytest

from db import migrate, repeatable
from environment.products import Product
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("jeex_idea")

# Run as superuser in the product's database; {table} is one of its tables.
BY_HAND = [
    ("drop policy {policy} on {table}", "missing: policy {policy} on {table}"),
    ("alter policy {policy} on {table} using (true)", "not declared: policy {policy} on {table}"),
    ("create policy more on {table} for select using (true)", "not declared: policy more on {table}"),
    ("alter table {table} disable row level security", "row-level security of {table}: disabled"),
    ("alter table {table} no force row level security", "row-level security of {table}: enabled, not forced"),
    ("grant truncate on {table} to {app}", "not declared: TRUNCATE on {table} for {app}"),
    ("grant select on {table} to public", "not declared: SELECT on {table} for PUBLIC"),
    (
        "grant select on {table} to {app} with grant option",
        "not declared: SELECT on {table} for {app}, who may give it",
    ),
    ("grant update (id) on {table} to {readonly}", "not declared: UPDATE on {table}.id for {readonly}"),
    ("revoke delete on {table} from {app}", "missing: DELETE on {table} for {app}"),
    ("alter table {table} disable trigger user", "not declared: trigger"),
    ("grant execute on all functions in schema auth to public", "not declared: EXECUTE on function auth."),
]


@pytest.mark.parametrize(("statement", "expected"), BY_HAND)
def test_a_change_by_hand_is_told_and_repaired(
    server: Server, product: Product, at_head: str, statement: str, expected: str
) -> None:
    """PLAT-15, PLAT-10: dropped policies, opened tables and stray grants do not stay."""
    table, policy = server.execute(
        "SELECT relname, polname FROM pg_policy JOIN pg_class c ON c.oid = polrelid"
        " JOIN pg_trigger ON tgrelid = polrelid AND NOT tgisinternal ORDER BY polname DESC LIMIT 1",
        product.name,
    )[0]
    words = {"table": table, "policy": policy, "app": product.app_role, "readonly": product.readonly_role}
    with server.connect(product.name) as connection:
        connection.execute(statement.format(**words).encode())
        drift = repeatable.drift_of(connection, product)
        assert any(expected.format(**words) in line for line in drift), drift
        assert repeatable.apply_in(connection, product) == drift
        assert repeatable.drift_of(connection, product) == []
        connection.rollback()


def test_applying_again_does_nothing(server: Server, product: Product, at_head: str) -> None:
    """Nothing is dropped and made again: the policies keep their object ids."""
    oids = "SELECT array_agg(oid ORDER BY oid) FROM pg_policy"
    before = server.execute(oids, product.name)
    assert repeatable.apply(product, at_head) == []
    assert server.execute(oids, product.name) == before


def test_a_changed_file_is_told(product: Product, at_head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest of the files is part of the record."""
    text = repeatable.script(product) + "-- a comment\n"
    monkeypatch.setattr(repeatable, "script", lambda _: text)
    assert repeatable.drift(product, at_head) == [f"db/{product.name}/*.sql changed since they were applied"]


def test_a_broken_file_changes_nothing(product: Product, at_head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction: the policies that reset.sql dropped are there again."""
    text = repeatable.script(product) + "select 1/0;\n"
    with monkeypatch.context() as patch:
        patch.setattr(repeatable, "script", lambda _: text)
        with pytest.raises(migrate.MigrationError, match="division by zero"):
            migrate.upgrade(product, at_head)
    assert repeatable.drift(product, at_head) == []


def test_a_function_of_a_stranger_is_told_until_it_is_gone(server: Server, product: Product, at_head: str) -> None:
    """What the migrator cannot drop must not become part of what is expected."""
    server.execute("CREATE FUNCTION public.stray() RETURNS int LANGUAGE sql AS 'select 1'", product.name)
    try:
        for _ in range(2):
            drift = repeatable.drift(product, at_head)
            assert any("function public.stray() of postgres" in line for line in drift), drift
            repeatable.apply(product, at_head)
    finally:
        server.execute("DROP FUNCTION public.stray()", product.name)
    assert repeatable.drift(product, at_head) == []


def test_looking_takes_no_right_to_write(server: Server, product: Product, at_head: str) -> None:
    """Drift can be read in a read-only transaction, and by the monitor."""
    with server.connect(product.name, "keel_monitor") as connection:
        connection.read_only = True
        assert repeatable.drift_of(connection, product) == []


def test_functions_run_with_a_fixed_search_path(server: Server, product: Product, at_head: str) -> None:
    """PLAT-18: nobody can put an object of his own in the way of a SECURITY DEFINER function."""
    loose = server.execute(
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace::regnamespace::text IN ('auth', 'public')"
        " AND prosecdef AND NOT coalesce(proconfig @> '{\"search_path=pg_catalog, pg_temp\"}', false)",
        product.name,
    )
    assert loose == []
