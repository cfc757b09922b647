"""What a product's programs may not exceed, whatever they set themselves (W9)."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from select import select

import psycopg
import pytest

from db import provision
from db.spec import Bounds, Migrated
from environment.products import Product
from ops.products.databases import bounds
from tests.db.fixtures import only
from tests.roles.targets import manifest_of
from tools.scratch_server import Server, provisioned, spec_of

product = only("jeex_idea")
HEAD = spec_of(migrated=Migrated.HEAD)
DEV = bounds(manifest_of("dev"))
SMALL = Bounds(
    database=4,
    login=2,
    migrator=1,
    settings=(("idle_in_transaction_session_timeout", "1s"), ("temp_file_limit", "1MB")),
)


@pytest.fixture(scope="module")
def bounded(server: Server, product: Product, at_head: str) -> Iterator[Server]:
    """The product with small bounds."""
    provisioned(server, HEAD.model_copy(update={"bounds": {product.name: SMALL}}))
    yield server
    provisioned(server, HEAD)


@pytest.fixture
def sessions() -> Iterator[ExitStack]:
    """Whatever was opened is closed."""
    with ExitStack() as stack:
        yield stack


def test_what_dev_declares_is_reached_and_a_difference_is_seen(server: Server, product: Product, at_head: str) -> None:
    """PLAT-20: the numbers of the budget; a second plan is empty, and a hand-made limit is put back."""
    spec = HEAD.model_copy(update={"bounds": DEV})
    provisioned(server, spec)
    assert provision.plan(server.superuser, server.look, spec) == []
    limits = dict(server.execute("select rolname, rolconnlimit from pg_roles where rolname like 'jeex%'"))
    assert limits == {
        "jeex_user": 25, "jeex_idea_readonly": 25, "jeex_idea_migrator": 3, "jeex_idea_owner": -1, "jeex_idea_auth": -1
    }  # fmt: skip
    assert server.execute("select datconnlimit from pg_database where datname = 'jeex_idea'") == [(27,)]
    server.execute("ALTER ROLE jeex_user CONNECTION LIMIT 90")
    server.execute("ALTER DATABASE jeex_idea CONNECTION LIMIT 7")
    server.execute("CREATE EXTENSION citext", "jeex_idea")
    assert [change.what for change in provision.plan(server.superuser, server.look, spec)] == [
        "alter role jeex_user: CONNECTION LIMIT 25",
        "limit database jeex_idea to 27 connections",
        "drop extension citext from jeex_idea",  # a limit hides nothing
    ]
    server.execute("DROP EXTENSION citext", "jeex_idea")
    provisioned(server, HEAD)


def test_a_login_stops_at_its_limit(bounded: Server, product: Product, sessions: ExitStack) -> None:
    """W9: the 31st direct session of one login, in small."""
    for _ in range(SMALL.login):
        sessions.enter_context(bounded.connect(product.name, product.app_role))
    with pytest.raises(psycopg.OperationalError, match=f'too many connections for role "{product.app_role}"'):
        bounded.connect(product.name, product.app_role)


def test_all_logins_of_a_product_stop_at_its_share(bounded: Server, product: Product, sessions: ExitStack) -> None:
    """W9: what is beyond it belongs to the other products."""
    for role in (product.app_role, product.readonly_role):
        for _ in range(SMALL.login):
            sessions.enter_context(bounded.connect(product.name, role))
    with pytest.raises(psycopg.OperationalError, match=f'too many connections for database "{product.name}"'):
        bounded.connect(product.name, product.migrator_role)
    bounded.superuser(product.name).close()


def test_a_forgotten_transaction_ends(bounded: Server, product: Product, sessions: ExitStack) -> None:
    """W9: and what it locked is free again. A migration may think as long as it likes."""
    forgotten = sessions.enter_context(bounded.connect(product.name, product.app_role))
    migration = sessions.enter_context(bounded.connect(product.name, product.migrator_role))
    for session in (migration, forgotten):
        session.execute("select 1")
    ended, _, _ = select([forgotten], [], [], 20)
    assert ended, "the transaction is still open"
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        forgotten.execute("select 1")
    assert migration.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "attempt",
    [
        "SET temp_file_limit = -1",
        "SELECT set_config('temp_file_limit', '-1', false)",
        "ALTER ROLE {role} SET temp_file_limit = -1",
        "ALTER ROLE {role} RESET temp_file_limit",
        "ALTER ROLE {role} RESET ALL",
    ],
)
def test_nobody_lifts_the_limit_of_temporary_files(bounded: Server, product: Product, attempt: str) -> None:
    """W9: not for this session, not for the next one."""
    role = product.app_role
    with bounded.connect(product.name, role) as session:
        session.autocommit = True
        with suppress(psycopg.errors.InsufficientPrivilege):
            session.execute(attempt.format(role=role).encode())
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="temp_file_limit"):
            session.execute("set work_mem = '64kB'")
            session.execute("select count(*) from (select * from generate_series(1, 200000) n order by -n) s")
    with bounded.connect(product.name, role) as session:
        assert session.execute("show temp_file_limit").fetchone() == ("1MB",)


OTHERWISE = Bounds(of_database=(("intervalstyle", "iso_8601"), ("jit", "off"), ("work_mem", "16MB")))


def test_a_database_has_settings_of_its_own(server: Server, product: Product, at_head: str) -> None:
    """PLAT-03: every login of the product begins with them; what differs by hand is seen and put right, what is withdrawn goes."""
    spec = HEAD.model_copy(update={"bounds": {product.name: OTHERWISE}})
    provisioned(server, spec)
    assert provision.plan(server.superuser, server.look, spec) == []
    for role in product.login_roles:
        with server.connect(product.name, role) as connection:
            shown = [connection.execute(f"show {name}").fetchone() for name, _ in OTHERWISE.of_database]
            assert shown == [("iso_8601",), ("off",), ("16MB",)]
    server.execute(f"ALTER DATABASE {product.name} SET work_mem = '1MB'")
    server.execute(f"ALTER DATABASE {product.name} SET seq_page_cost = 3")
    changes = provision.plan(server.superuser, server.look, spec)
    assert [(change.what, change.sessions) for change in changes] == [
        (f"set work_mem = 16MB for database {product.name}", product.name),
        (f"reset seq_page_cost for database {product.name}", product.name),
    ]
    provisioned(server, HEAD)
    with server.connect(product.name, product.app_role) as connection:
        assert connection.execute("show work_mem").fetchone() == ("4MB",)
    assert provision.plan(server.superuser, server.look, HEAD) == []


SENT = Bounds(startup=(("jit", "off"), ("statement_timeout", "5s")))


def test_what_clients_send_is_true_of_every_login_through_the_pooler(
    server: Server, product: Product, at_head: str
) -> None:
    """JEEX-18: of no other login; the login's own value gives way to it. What differs by hand is seen with the pools that have it, and
    what is withdrawn goes."""
    spec = HEAD.model_copy(update={"bounds": {product.name: SENT}})
    provisioned(server, spec)
    assert provision.plan(server.superuser, server.look, spec) == []
    for role in product.login_roles:
        with server.connect(product.name, role) as connection:
            shown = [connection.execute(f"show {name}").fetchone() for name, _ in SENT.startup]
        assert (shown == [("off",), ("5s",)]) is (role in product.pooled_roles)
    server.execute(f"ALTER ROLE {product.app_role} IN DATABASE {product.name} SET statement_timeout = 0")
    server.execute(f"ALTER ROLE {product.app_role} IN DATABASE {product.name} SET seq_page_cost = 3")
    changes = provision.plan(server.superuser, server.look, spec)
    whose = f"for role {product.app_role} in database {product.name}"
    assert [(change.what, change.sessions, change.removes) for change in changes] == [
        (f"set statement_timeout = 5s {whose}", product.name, False),
        (f"reset seq_page_cost {whose}", product.name, True),
    ]
    provisioned(server, HEAD)
    with server.connect(product.name, product.app_role) as connection:
        assert connection.execute("show statement_timeout").fetchone() == (product.statement_timeout,)
    assert provision.plan(server.superuser, server.look, HEAD) == []
