"""Row-level security of every product that has tenants, straight to the server; tests/verify asks again through the pooler."""

from collections.abc import Iterator

import pytest
from psycopg import errors, sql

from environment.products import Product, catalogue
from tests.rls import matrix
from tests.rls.rows import rows
from tests.rls.tenants import Tenants, tenants
from tools.scratch_server import Server

TENANTED = [name for name, product in catalogue().items() if product.identity_type]


@pytest.fixture(scope="module", params=TENANTED)
def product(request: pytest.FixtureRequest) -> Product:
    """Every product whose rows belong to users."""
    return catalogue()[request.param]


@pytest.fixture
def two(server: Server, product: Product, at_head: str) -> Iterator[Tenants]:
    """Two tenants in a session of the application."""
    with server.connect(product.name, product.app_role) as connection, tenants(connection, product) as made:
        yield made


def test_every_table_is_tried(server: Server, product: Product, at_head: str) -> None:
    """PLAT-15: what pg_class has is in the matrix, enabled, forced, with policies for all commands."""
    with server.connect(product.name) as connection:
        assert matrix.unknown_tables(connection, product, rows(product)) == []
        assert matrix.shell(connection, product) == []
    assert set(rows(product)) == set(product.tenant_tables)


def test_own_rows_and_nothing_else(two: Tenants) -> None:
    """PLAT-16, BAC-23, JEEX-15, CF-18, RIQ-17: table × command × own, other, unset, empty identity."""
    assert list(matrix.violations(two)) == []
    assert list(matrix.strangers_rows(two)) == []


def test_rows_are_not_handed_over(two: Tenants) -> None:
    """PLAT-16: WITH CHECK holds for UPDATE, and foreign keys are no way around it."""
    assert list(matrix.handed_over(two)) == []


def test_no_way_around(two: Tenants) -> None:
    """PLAT-16: COPY, failing predicates, upserts, row_security = off, TRUNCATE and statistics tell nothing."""
    assert list(matrix.around(two)) == []


def test_the_identity_is_read_once(two: Tenants) -> None:
    """PLAT-16: in the plan of every table the identity is an InitPlan, not a part of a filter."""
    assert list(matrix.identity_per_row(two)) == []


def test_updated_at_moves(two: Tenants) -> None:
    """PLAT-12: in every table that has it, whatever the client says."""
    assert list(matrix.untouched(two)) == []


def test_the_identity_ends_with_the_transaction(server: Server, product: Product, at_head: str) -> None:
    """PLAT-17: on the same connection the next transaction sees nothing, and that is no error."""
    table = next(iter(rows(product)))
    with server.connect(product.name, product.app_role) as connection:
        for _ in range(2):
            with connection.transaction():
                found = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone()
                assert found == (0,)
                connection.execute("select set_config('app.current_user_id', %s, true)", [_some(product)])
                connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table)))


def test_nobody_becomes_somebody_who_sees_more(server: Server, product: Product, at_head: str) -> None:
    """PLAT-19: neither application nor read-only role becomes owner, migrator, look-up or backup."""
    others = (product.owner_role, product.migrator_role, product.auth_role or "postgres", "keel_backup")
    for role in (*product.client_roles, product.readonly_role):
        with server.connect(product.name, role) as connection:
            for other in others:
                with pytest.raises(errors.InsufficientPrivilege), connection.transaction():
                    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(other)))


def test_workers_read_all_and_write_as_somebody(server: Server, product: Product, at_head: str) -> None:
    """RIQ-03: a worker sees the rows of both tenants, changes none without an identity; the API sees its own."""
    if not product.worker_role:
        assert not any("worker" in role for role in product.login_roles)
        return
    with server.connect(product.name, product.worker_role) as connection:
        assert matrix.worker(connection, product) == []


HOLES = {
    "create table secrets (id int)": "secrets",
    "alter table {table} no force row level security": "not forced",
    "alter table {table} disable row level security": "disabled",
    "create view peep as select * from {table}": "view peep runs with the rights of its owner",
    "create function peep() returns int language sql security definer as 'select 1'": "function peep() runs as postgres",
    "create function peep() returns int language sql security definer as 'select 1';"
    " alter function peep() owner to {owner}": "function peep() runs as ",
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_in_the_catalogue_is_seen(server: Server, product: Product, at_head: str, hole: str) -> None:
    """PLAT-15: a table without policies, a definer's view or function, a table not forced: each is named."""
    table = next(iter(rows(product)))
    with server.connect(product.name) as connection:
        connection.execute(hole.format(table=table, owner=product.owner_role).encode())
        found = matrix.shell(connection, product) + matrix.unknown_tables(connection, product, rows(product))
        connection.rollback()
    assert any(HOLES[hole] in line for line in found), found


@pytest.mark.parametrize("command", ["select", "insert", "update", "delete"])
def test_a_hole_in_a_policy_is_seen(server: Server, product: Product, at_head: str, command: str) -> None:
    """PLAT-16: a policy too many, for one command of any table, is found by the matrix; what the application may not
    write by its privileges stays shut."""
    for table in rows(product):
        seen = command == "select" or product.tables[table].writes
        clause = {"insert": "with check (true)", "update": "using (true) with check (true)"}.get(
            command, "using (true)"
        )
        with server.connect(product.name) as connection:
            connection.execute(f"create policy hole on {table} for {command} {clause}".encode())
            if command in ("update", "delete"):  # a row has to be seen to be changed
                connection.execute(f"create policy light on {table} for select using (true)".encode())
            connection.execute(sql.SQL("set local role {}").format(sql.Identifier(product.app_role)))
            with tenants(connection, product) as made:
                found = list(matrix.violations(made))
        assert any(line.startswith(f"{table}: {command} with other") for line in found) is seen, (table, found)


@pytest.mark.parametrize("command", ["insert", "update", "delete"])
def test_a_privilege_too_many_is_seen(server: Server, product: Product, at_head: str, command: str) -> None:
    """X-28, PLAT-16: a table that only the database writes, opened to the application for its own rows."""
    for table in (name for name, facts in product.tables.items() if not facts.writes):
        with server.connect(product.name) as connection:
            connection.execute(f"grant {command} on {table} to {product.app_role}".encode())
            connection.execute(sql.SQL("set local role {}").format(sql.Identifier(product.app_role)))
            with tenants(connection, product) as made:
                found = list(matrix.violations(made))
        assert f"{table}: {command} with own identity reaches the row" in found


def _some(product: Product) -> str:
    return "7" if product.identity_type == "integer" else "01900000-0000-7000-8000-000000000001"
