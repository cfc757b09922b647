"""Row-level security: in the catalogue for every product, and at work for two tenants of JEEX Idea through the pooler.

The tenants live in one transaction that is rolled back: nothing of them is ever visible to anybody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest

from environment.manifest import ProductEntry
from environment.products import Product
from ops.session import Superuser
from tests.verify import expect
from tests.verify.pooler import Pooler

TABLES = """
select relname::text, relrowsecurity, relforcerowsecurity,
       array(select distinct c from pg_policies p, unnest(
           case p.cmd when 'ALL' then array['SELECT', 'INSERT', 'UPDATE', 'DELETE'] else array[p.cmd] end) c
           where p.schemaname = 'public' and p.tablename = relname
             and p.roles = '{public}' and (p.cmd = 'INSERT' or p.qual is not null)
             and (p.cmd in ('SELECT', 'DELETE') or p.with_check is not null))
from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
"""


def test_enabled_and_forced(product: ProductEntry, superuser: Superuser) -> None:
    """PLAT-15: row-level security is enabled and forced on every table of users' rows."""
    rows = _tables(product, superuser)
    expect.nothing(
        f"{product.product.name}.{name}: enabled: {enabled}, forced: {forced}"
        for name, enabled, forced, _ in rows
        if product.product.identity_type and not (enabled and forced)
    )


def test_policies_cover_every_command(product: ProductEntry, superuser: Superuser) -> None:
    """PLAT-16: policies cover SELECT, INSERT, UPDATE and DELETE, what is written as well as what is found."""
    rows = _tables(product, superuser)
    expect.nothing(
        f"{product.product.name}.{name}: no policy for {', '.join(sorted(missing))}"
        for name, _, _, covered in rows
        if product.product.identity_type and (missing := {"SELECT", "INSERT", "UPDATE", "DELETE"} - set(covered))
    )


def _tables(product: ProductEntry, superuser: Superuser) -> list[tuple[str, bool, bool, list[str]]]:
    with superuser.connect(product.product.name) as connection:
        return connection.execute(TABLES).fetchall()


class Tenants(NamedTuple):
    """Two users of JEEX Idea with a project each and a row in every table below it."""

    connection: psycopg.Connection[Any]
    ada: UUID
    grace: UUID
    projects: dict[UUID, UUID]

    def become(self, identity: UUID | str) -> None:
        """Set the identity for the rest of the transaction."""
        self.connection.execute("select set_config('app.current_user_id', %s, true)", [str(identity)])

    def count(self, table: str) -> int:
        """How many rows of ``table`` the present identity sees."""
        row = self.connection.execute(f"select count(*) from {table}").fetchone()
        assert row
        return int(row[0])


BELOW_PROJECT = {
    "document_versions": "insert into document_versions (project_id, document_type, version, content) values (%s, 'idea', 1, '')",
    "agent_executions": "insert into agent_executions (project_id, agent_type, correlation_id) values (%s, 'analyst', uuidv7())",
    "exports": "insert into exports (project_id) values (%s)",
}
EVERY_TABLE = ("users", "projects", *BELOW_PROJECT)


@pytest.fixture
def tenants(pooler: Pooler, jeex_idea: Product) -> Iterator[Tenants]:
    """Ada and Grace, registered as the application registers, in a transaction that never commits."""
    with pooler.connect(jeex_idea.app_role, jeex_idea.name) as connection:
        made = Tenants(connection, _register(connection, "Ada"), _register(connection, "Grace"), {})
        for identity in (made.ada, made.grace):
            made.become(identity)
            project = _one(
                connection, "insert into projects (name, created_by) values ('p', %s) returning id", identity
            )
            made.projects[identity] = project
            for insert in BELOW_PROJECT.values():
                connection.execute(insert, [project])
        yield made
        connection.rollback()


def _register(connection: psycopg.Connection[Any], name: str) -> UUID:
    return _one(connection, "select auth.register_user(%s, %s)", f"{uuid4()}@keel.invalid", name)


def _one(connection: psycopg.Connection[Any], query: str, *values: object) -> UUID:
    row = connection.execute(query, values).fetchone()
    assert row and isinstance(row[0], UUID), f"{query}: {row}"
    return row[0]


@pytest.mark.parametrize("table", EVERY_TABLE)
def test_each_sees_own_rows(tenants: Tenants, table: str) -> None:
    """JEEX-15: a user sees, changes and deletes own rows only, in each of the five tables."""
    key = {"users": "id", "projects": "created_by"}.get(table, "project_id")
    for me, other in ((tenants.ada, tenants.grace), (tenants.grace, tenants.ada)):
        tenants.become(me)
        assert tenants.count(table) == 1, f"{table}: one's own row is not the only one seen"
        theirs = other if key != "project_id" else tenants.projects[other]
        for statement in (
            f"update {table} set {key} = {key} where {key} = %s",
            f"delete from {table} where {key} = %s",
        ):
            changed = tenants.connection.execute(statement, [theirs]).rowcount
            assert changed == 0, f"{table}: {statement.split()[0]} reached {changed} rows of another user"


@pytest.mark.parametrize("identity", ["", None])
def test_no_identity_no_rows(tenants: Tenants, identity: str | None) -> None:
    """PLAT-16: without an identity, or with the empty one a reset leaves, there are no rows and there is no error."""
    tenants.connection.execute(
        "reset app.current_user_id" if identity is None else "set local app.current_user_id = ''"
    )
    expect.same({table: tenants.count(table) for table in EVERY_TABLE}, dict.fromkeys(EVERY_TABLE, 0))


def test_nothing_in_anothers_name(tenants: Tenants) -> None:
    """PLAT-16: what is written is checked too: no row for another user, none below another's project."""
    tenants.become(tenants.ada)
    forbidden = [("insert into projects (name, created_by) values ('p', %s)", tenants.grace)]
    forbidden += [(insert, tenants.projects[tenants.grace]) for insert in BELOW_PROJECT.values()]
    forbidden += [("update projects set created_by = %s", tenants.grace)]
    for statement, value in forbidden:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), tenants.connection.transaction():
            tenants.connection.execute(statement, [value])


def test_log_in_before_the_identity_is_known(tenants: Tenants) -> None:
    """PLAT-18: the application finds a user by email without an identity, by a function that shows nothing else."""
    tenants.become(tenants.ada)
    row = tenants.connection.execute("select email from users").fetchone()
    tenants.become("")
    assert row
    found = tenants.connection.execute("select id from auth.user_by_email(%s)", row).fetchall()
    assert found == [(tenants.ada,)]
    assert tenants.connection.execute("select id from auth.user_by_email('nobody@keel.invalid')").fetchall() == []


def test_ids_and_times(tenants: Tenants) -> None:
    """JEEX-12: new rows have ids of version 7 in every table."""
    tenants.become(tenants.ada)
    versions = {
        table: {row[0].version for row in tenants.connection.execute(f"select id from {table}")}
        for table in EVERY_TABLE
    }
    expect.nothing(f"{table}: ids of version {found}" for table, found in versions.items() if found != {7})


@pytest.mark.parametrize("table", ["users", "projects"])
def test_updated_at(tenants: Tenants, table: str) -> None:
    """PLAT-12: an update in plain SQL moves updated_at, even one that says otherwise."""
    tenants.become(tenants.ada)
    row = tenants.connection.execute(
        f"update {table} set updated_at = '2000-01-01' returning updated_at = timezone('UTC', now())"
    ).fetchone()
    assert row == (True,), f"{table}.updated_at was not maintained"


def test_steps_are_checked(tenants: Tenants) -> None:
    """JEEX-08: a project's step is between 1 and 4."""
    tenants.become(tenants.ada)
    with pytest.raises(psycopg.errors.CheckViolation), tenants.connection.transaction():
        tenants.connection.execute("update projects set current_step = 5")


def test_no_identity_is_left_behind(pooler: Pooler, jeex_idea: Product) -> None:
    """PLAT-17: a server connection on which one client had an identity has none for the next client."""
    role, database = jeex_idea.app_role, jeex_idea.name
    with ExitStack() as stack:
        clients = [stack.enter_context(pooler.connect(role, database)) for _ in range(4)]
        used = set()
        for client in clients:  # all at once, so that each has a server connection of its own
            row = client.execute(
                "select set_config('app.current_user_id', %s, true), pg_backend_pid()", [str(uuid4())]
            ).fetchone()
            assert row
            used.add(row[1])
        for number, client in enumerate(clients):  # however a transaction ends
            client.rollback() if number % 2 else client.commit()
        others = [stack.enter_context(pooler.connect(role, database)) for _ in range(4)]
        seen = {}
        for client in others:
            row = client.execute(
                "select pg_backend_pid(), coalesce(current_setting('app.current_user_id', true), '')"
            ).fetchone()
            assert row
            seen[row[0]] = row[1]
        assert used & seen.keys(), f"no server connection was used again: {used}, {seen}"
        expect.nothing(
            f"server connection {pid} still has the identity {value}" for pid, value in seen.items() if value
        )
