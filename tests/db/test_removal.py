"""What the model does not declare: taken back where it is nobody's, told where a person has to decide."""

from collections.abc import Iterator

import psycopg
import pytest
from pydantic import SecretStr

from db import provision, repeatable
from db.change import Change, ProvisionError
from db.spec import ClusterSpec, Migrated
from environment.products import Product, catalogue
from tests.db.fixtures import only
from tests.db.test_provision import HEAD, PRUNED
from tests.db.test_repeatable import BY_HAND
from tools.scratch_server import Server, password_of, spec_of

product = only("jeex_idea")
pytestmark = pytest.mark.usefixtures("at_head")

LATER = catalogue()["jeex_idea"].model_copy(update={"name": "later", "app_role": "later_user"})
"""A product that is added and taken away again."""


def with_later() -> ClusterSpec:
    """All products of the checkout and one more, which is at head."""
    spec = HEAD.model_copy(
        update={"products": (*HEAD.products, LATER), "migrated": {**HEAD.migrated, "later": Migrated.HEAD}}
    )
    passwords = {role: SecretStr(password_of(role)) for role in LATER.login_roles}
    return spec.model_copy(update={"passwords": {**HEAD.passwords, **passwords}})


PARKED = HEAD.model_copy(update={"unlisted": (LATER,)})


def plan(server: Server, spec: ClusterSpec = HEAD) -> list[Change]:
    """What differs."""
    return provision.plan(server.superuser, server.look, spec)


def words(changes: list[Change]) -> list[str]:
    """Their sentences."""
    return [change.what for change in changes]


@pytest.fixture
def bob(server: Server) -> Iterator[str]:
    """A role that somebody made by hand, gone after the test."""
    server.execute("CREATE ROLE bob LOGIN")
    yield "bob"
    if server.execute("SELECT 1 FROM pg_roles WHERE rolname = 'bob'"):
        for database in ("jeex_idea", "postgres"):
            server.execute("DROP OWNED BY bob CASCADE", database)
        server.execute("DROP ROLE bob")


@pytest.fixture
def later(server: Server) -> Iterator[Product]:
    """The product, provisioned, with a row in it; gone after the test."""
    provision.apply(server.superuser, plan(server, with_later()))
    server.execute("CREATE TABLE kept AS SELECT 1 AS id; ALTER TABLE kept OWNER TO later_owner", "later")
    yield LATER
    server.execute("DROP DATABASE IF EXISTS later WITH (FORCE)")
    provision.apply(server.superuser, plan(server), prune=True)
    assert plan(server) == []


def test_a_role_that_only_has_privileges_goes(server: Server, bob: str) -> None:
    """X-46: wherever it has them, as a member or a giver, in policies and for future tables; last in the plan."""
    for statement in (
        "GRANT SELECT ON users TO bob WITH GRANT OPTION",
        "CREATE POLICY for_bob ON users TO bob USING (true)",
        "ALTER DEFAULT PRIVILEGES FOR ROLE bob GRANT SELECT ON TABLES TO jeex_user",
        "GRANT USAGE ON SCHEMA public TO bob",
    ):
        server.execute(statement, "jeex_idea")
    server.execute("GRANT CONNECT ON DATABASE jeex_idea TO bob")
    server.execute("GRANT jeex_idea_owner TO bob WITH ADMIN OPTION")
    server.execute("GRANT jeex_idea_owner TO keel_monitor GRANTED BY bob")
    changes = plan(server)
    assert words(changes)[-3:] == [
        "take away the privileges of role bob in jeex_idea",
        "take away the privileges of role bob in postgres",
        "drop role bob",
    ]
    assert provision.apply(server.superuser, changes) == [], "only on request"
    assert provision.apply(server.superuser, changes, prune=True) == changes
    assert plan(server) == []
    assert server.execute("SELECT 1 FROM pg_policies WHERE policyname = 'for_bob'", "jeex_idea") == []


def test_a_role_that_owns_something_stays(server: Server, bob: str) -> None:
    """X-46: no data goes with it; the plan names what it owns, and its SQL leads on."""
    server.execute("CREATE TABLE auth.bobs AS SELECT 1 AS id", "jeex_idea")
    server.execute("ALTER TABLE auth.bobs OWNER TO bob", "jeex_idea")
    told, table = plan(server)[::-1]
    assert table.what == "table auth.bobs in jeex_idea is not declared: it stays"
    assert told.what == "role bob is not declared and owns table auth.bobs: it stays"
    assert told.difference.undo == 'REASSIGN OWNED BY "bob" TO "jeex_idea_owner"'
    assert provision.apply(server.superuser, [told], prune=True) == []
    assert server.execute("SELECT id FROM auth.bobs", "jeex_idea") == [(1,)]
    server.execute(told.difference.undo, told.database)
    assert words(plan(server)) == [table.what, "drop role bob"]
    server.execute(table.difference.undo, table.database)


def test_what_a_role_came_to_own_meanwhile_is_not_dropped(server: Server, bob: str) -> None:
    """DROP OWNED would take it along: the plan looked before."""
    server.execute("GRANT SELECT ON users TO bob", "jeex_idea")
    changes = plan(server)
    server.execute("CREATE TABLE auth.bobs AS SELECT 1 AS id", "jeex_idea")
    server.execute("ALTER TABLE auth.bobs OWNER TO bob", "jeex_idea")
    with pytest.raises(ProvisionError, match="role bob owns something by now"):
        provision.apply(server.superuser, changes, prune=True)
    assert server.execute("SELECT id FROM auth.bobs", "jeex_idea") == [(1,)]


def test_a_dropped_role_has_no_session_left(server: Server, bob: str) -> None:
    """It could go on making things that belong to nobody."""
    server.execute("GRANT CONNECT ON DATABASE postgres TO bob")
    server.execute(f"ALTER ROLE bob PASSWORD '{password_of('bob')}'")
    with server.connect("postgres", "bob") as session:
        provision.apply(server.superuser, plan(server), prune=True)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")


def test_an_undeclared_superuser_is_only_told(server: Server) -> None:
    """PLAT-19: somebody has to find out who made it."""
    server.execute("CREATE ROLE eve SUPERUSER")
    try:
        (told,) = plan(server)
        assert "role eve is an undeclared superuser" in told.what
        assert provision.apply(server.superuser, [told], prune=True) == []
        assert told.difference.undo == 'ALTER ROLE "eve" NOSUPERUSER'
    finally:
        server.execute("DROP ROLE eve")


def test_roles_made_elsewhere_are_left_alone(server: Server, bob: str) -> None:
    """Patroni's replication and rewind roles are nobody's drift."""
    assert plan(server, HEAD.model_copy(update={"kept_roles": (bob,)})) == []


def test_an_extension_that_something_needs_stays(server: Server) -> None:
    """X-46: dropped without CASCADE when nothing of ours needs it, else told with what does."""
    server.execute("CREATE EXTENSION citext SCHEMA auth", "jeex_idea")
    server.execute("CREATE TABLE auth.words (word auth.citext[])", "jeex_idea")
    told, table = plan(server)
    assert table.what == "table auth.words in jeex_idea is not declared: it stays"
    assert told.what == (
        "extension citext in jeex_idea is not declared, but needed by column word of table auth.words: it stays"
    )
    assert provision.apply(server.superuser, [told], prune=True) == []
    server.execute("DROP TABLE auth.words", "jeex_idea")
    assert provision.apply(server.superuser, plan(server), prune=True)
    assert plan(server) == []


def test_a_product_can_be_added_later(server: Server, later: Product) -> None:
    """PLAT-05, PLAT-09: only what is its own was made; its programs log in."""
    assert plan(server, with_later()) == []
    server.connect("later", "later_user").close()


def test_a_parked_product_is_closed_and_put_back(server: Server, later: Product) -> None:
    """PLAT-05, PLAT-09: nobody logs in, nothing else changes; the model's word opens it again."""
    before = server.execute(
        "SELECT rolname, rolpassword, rolbypassrls FROM pg_authid WHERE rolname ~ '^later' ORDER BY 1"
    )
    with server.connect("later", "later_user") as session:
        provision.apply(server.superuser, plan(server, PARKED), prune=True)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    for role in later.login_roles:
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
            server.connect("later", role)
    assert words(plan(server, PARKED)) == [
        "database later is parked: it belongs to no product of this stack; put it back, or ./keel db retire later"
    ]
    assert provision.apply(server.superuser, plan(server, PARKED), prune=True) == []
    assert server.execute("SELECT id FROM kept", "later") == [(1,)]
    provision.apply(server.superuser, plan(server, with_later()))
    server.connect("later", "later_user").close()
    assert server.execute(
        "SELECT rolname, rolpassword, rolbypassrls FROM pg_authid WHERE rolname ~ '^later' ORDER BY 1"
    ) == before  # fmt: skip


def test_a_database_of_nobody_is_told_and_its_roles_stay(server: Server, later: Product) -> None:
    """PLAT-05: another checkout's product is not taken apart by this one; only the pooler, which this one runs, asks for its
    logins no more."""
    changes = plan(server)
    told = [change for change in changes if change.told]
    (look_up,) = [change for change in changes if not change.told]
    assert look_up.what == "restore function keel.user_lookup in database postgres"
    assert told[0].what.startswith("database later belongs to no product of this checkout")
    assert {f"role {role}" for role in later.login_roles} <= {" ".join(change.what.split()[:2]) for change in told}
    assert provision.apply(server.superuser, changes, prune=True) == [look_up]
    server.connect("later", "later_user").close()


def test_roles_of_a_product_whose_database_is_gone_go(server: Server, later: Product) -> None:
    """What an interrupted retirement leaves is undeclared like anything else."""
    server.execute("DROP DATABASE later WITH (FORCE)")
    provision.apply(server.superuser, plan(server, PARKED), prune=True)
    assert server.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^later'") == []


@pytest.mark.parametrize(("statement", "database", "_expected"), PRUNED)
def test_the_sql_that_is_told_undoes_it(server: Server, statement: str, database: str, _expected: str) -> None:
    """PLAT-10: a person can execute what drift says, and then there is none."""
    server.execute(statement, database)
    differences = [change.difference for change in plan(server)]
    assert differences == [change.difference for change in plan(server)]
    for difference in differences:
        server.execute(difference.undo, difference.what.partition(": ")[0])
    assert plan(server) == []


UNDONE = [(statement, what) for statement, what in BY_HAND if "missing" not in what and "alter policy" not in statement]


@pytest.mark.parametrize(("statement", "_expected"), UNDONE)
def test_the_sql_told_of_policies_and_grants_undoes_it(server: Server, statement: str, _expected: str) -> None:
    """PLAT-10, PLAT-15: REVOKE, DROP POLICY, ALTER TABLE: runnable as it stands, and it is enough."""
    jeex = catalogue()["jeex_idea"]
    names = {"table": "projects", "policy": "", "app": jeex.app_role, "readonly": jeex.readonly_role}
    with server.connect(jeex.name) as connection:
        connection.execute(statement.format(**names).encode())
        differences = [difference for difference in repeatable.differences_of(connection, jeex) if difference.undo]
        assert differences
        for difference in differences:
            connection.execute(difference.undo.encode())
        assert repeatable.differences_of(connection, jeex) == []
        connection.rollback()


def test_no_verifier_is_told(server: Server) -> None:
    """PLAT-11: a password's change shows neither it nor what is stored; each look says the same."""
    server.execute("ALTER ROLE jeex_user PASSWORD 'guess'")
    differences = [change.difference for change in plan(server)]
    forget, alter, remember = (difference.undo for difference in differences)
    assert alter == "ALTER ROLE \"jeex_user\" PASSWORD '<verifier>'"
    assert "SCRAM" not in forget + remember and forget == "DELETE FROM keel.passwords WHERE login IN ('jeex_user')"
    assert differences == [change.difference for change in plan(server)]
    provision.apply(server.superuser, plan(server))


def test_no_verifier_is_told_of_a_new_cluster(server: Server) -> None:
    """PLAT-11: every statement of a cold start."""
    fresh = spec_of().model_copy(update={"products": (LATER,), "passwords": with_later().passwords})
    assert "SCRAM" not in "".join(str(change.difference) for change in plan(server, fresh))
