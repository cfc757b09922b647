"""Row-level security of every product with tenants: in the catalogue, and at work through the pooler and past it.

The tenants live in one transaction that is rolled back: nothing of them is ever visible to anybody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import UUID, uuid4

import psycopg
import pytest

from environment.manifest import Manifest, ProductEntry
from environment.products import Product
from environment.types import Reset
from ops.hosts.session import Session
from ops.steps.checks import Access
from tests.rls import matrix
from tests.rls.rows import rows
from tests.rls.tenants import Tenants, tenants
from tests.verify import expect
from tests.verify.databases import Databases
from tests.verify.pooler import Pooler


@pytest.fixture(scope="module")
def access(
    request: pytest.FixtureRequest, pooler: Pooler, session: Session, primary: tuple[str, int]
) -> Iterator[Tenants]:
    """Two tenants of a product, registered as the application registers them, in a transaction that is rolled back."""
    asked: Access = request.param
    product = asked.entry.product
    with ExitStack() as stack:
        if asked.way == "pooled":
            connection = stack.enter_context(pooler.connect(product.app_role, product.name))
        else:
            connection = stack.enter_context(psycopg.connect(session.url(product.app_role, product.name, *primary)))
        yield stack.enter_context(tenants(connection, product))


@pytest.fixture
def two(access: Tenants) -> Iterator[Tenants]:
    """The same two for each test: what it does to their rows is undone."""
    with access.connection.transaction(force_rollback=True):
        yield access


def test_enabled_and_forced(tenanted: ProductEntry, looker: Databases) -> None:
    """PLAT-15: row-level security is enabled and forced on every table of users' rows, with policies for every command."""
    product = tenanted.product
    with looker.connect(product.name) as connection:
        expect.nothing(matrix.shell(connection, product))
        expect.nothing(matrix.unknown_tables(connection, product, rows(product)))


def test_own_rows_and_nothing_else(two: Tenants) -> None:
    """PLAT-16, BAC-23, JEEX-15, CF-17, CF-18, RIQ-17: a user reads, adds, changes and deletes own rows only; without an identity there are none."""
    expect.nothing(matrix.violations(two))
    expect.nothing(matrix.strangers_rows(two))


def test_nothing_in_anothers_name(two: Tenants) -> None:
    """PLAT-16: what is written is checked too: no row is handed to another user or put below another's."""
    expect.nothing(matrix.handed_over(two))


def test_no_way_around(two: Tenants) -> None:
    """PLAT-16: COPY, failing predicates, upserts, row_security = off, TRUNCATE and statistics tell nothing."""
    expect.nothing(matrix.around(two))


def test_identity_is_read_once(two: Tenants) -> None:
    """PLAT-16: no plan reads the identity for every row."""
    expect.nothing(matrix.identity_per_row(two))


def test_updated_at_moves(two: Tenants) -> None:
    """PLAT-12: an update in plain SQL moves updated_at, even one that says otherwise."""
    expect.nothing(matrix.untouched(two))


def test_log_in_before_the_identity_is_known(two: Tenants) -> None:
    """PLAT-18: the application finds a user by email without an identity, by a function that shows nothing else."""
    two.become(two.ada.identity)
    row = two.connection.execute("select email from users").fetchone()
    assert row
    two.become("")
    found = two.connection.execute("select * from auth.user_by_email(%s)", row).fetchall()
    assert [str(line[0]) for line in found] == [two.ada.identity]
    assert two.connection.execute("select * from auth.user_by_email('unknown@keel.invalid')").fetchall() == []


def test_workers(tenanted: ProductEntry, pooler: Pooler) -> None:
    """RIQ-03: background workers read the rows of all users and change none without an identity."""
    product = tenanted.product
    if product.worker_role:
        with pooler.connect(product.worker_role, product.name) as connection:
            expect.nothing(matrix.worker(connection, product))


def test_versions_of_ids(jeex_idea: Product, pooler: Pooler) -> None:
    """JEEX-12: new rows have ids of version 7 in every table."""
    with pooler.connect(jeex_idea.app_role, jeex_idea.name) as connection, tenants(connection, jeex_idea) as two:
        expect.nothing(
            f"{table}: an id of version {UUID(str(key)).version}"
            for table, key in two.ada.keys.items()
            if UUID(str(key)).version != 7
        )


def test_no_identity_is_left_behind(tenanted: ProductEntry, pooler: Pooler, manifest: Manifest) -> None:
    """PLAT-17, W6: a server connection on which one client had an identity has none for the next client, also where LOCAL
    was forgotten, unless the stack file says so."""
    role, database = tenanted.product.app_role, tenanted.product.name
    forgets = manifest.pgbouncer.reset is not Reset.OFF
    with ExitStack() as stack:
        clients = [stack.enter_context(pooler.connect(role, database)) for _ in range(4)]
        used = set()
        for number, client in enumerate(clients):  # all at once, so that each has a server connection of its own
            row = client.execute(
                "select set_config('app.current_user_id', %s, %s), pg_backend_pid()",
                [str(uuid4()), number < 2 or not forgets],
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
