"""Everything that a superuser's session changes in a product's database, where its owner has planted: nothing is evaluated (W0)."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from db import provision
from db.change import Change
from db.spec import MAINTENANCE_DATABASE, Migrated
from environment.products import Product
from tests.db.fixtures import owner
from tests.planted import planting
from tools.scratch_server import Server, provisioned, spec_of

HEAD = spec_of(migrated=Migrated.HEAD)
VERBS = {
    "CREATE EXTENSION", "DROP EXTENSION", "CREATE SCHEMA", "ALTER SCHEMA", "ALTER TABLE", "ALTER DEFAULT", "GRANT", "REVOKE",
    "DO",  # around DROP OWNED
}  # fmt: skip
"""As decision 15 lists them."""
GIVEN_AWAY = """
do $$ declare one record; begin
    for one in select nspname, relname from pg_class c join pg_namespace n on n.oid = relnamespace
               where nspname in ('public', 'alembic') and relkind in ('r', 'p', 'v', 'm') loop
        execute format('alter table %I.%I owner to postgres', one.nspname, one.relname);
    end loop;
end $$
"""
DISARRANGED = (
    GIVEN_AWAY,
    "alter schema alembic owner to postgres",
    "grant create on schema public to public",
    "alter default privileges for role {owner} in schema public revoke select on tables from {app}",
    "alter default privileges for role {owner} in schema public grant truncate on tables to {app}",
    "create extension citext schema public",
    "grant execute on function pg_catalog.pg_switch_wal() to keel_backup",
    "create role stray",
    "grant all on public.planted, public.planted_view, {table} to stray",
    "grant execute on function public.planted_is to stray",
    "create policy stray on public.planted to stray using (public.planted_is('policy of a role that goes'))",
    "alter default privileges for role {owner} in schema public grant select on tables to stray",
    "drop view alembic.alembic_version",
    "alter table alembic.planted_version rename to alembic_version",
    "revoke all on alembic.alembic_version from keel_look",
    'drop extension "{extension}" cascade',
)
"""So that every kind of change is needed. `{extension}`: once for each."""
OF_EXTENSIONS = """
create function public.{name}(public.planted) returns text language plpgsql as
    $$ begin perform public.planted_gain('function of an extension''s name'); return ''; end $$
"""
NAMES = """
select distinct p.proname from pg_depend d join pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
where d.deptype = 'e' and d.refclassid = 'pg_extension'::regclass and p.pronamespace = 'public'::regnamespace
"""


@pytest.fixture
def planted(server: Server, product: Product, fresh: str) -> Iterator[Product]:
    """A product whose owner has planted one of each kind, and a function of the name of each that an extension brings."""
    with owner(server, product) as connection:
        where = planting.target(connection, product)
        planting.plant(connection, product, product.migrator_role, where)
        for (name,) in connection.execute(NAMES).fetchall():
            connection.execute(OF_EXTENSIONS.format(name=name).encode())
    names = {"owner": product.owner_role, "app": product.app_role, "table": where[0]}
    with server.superuser(
        product.name
    ) as connection:  # as Keel comes: a session by hand would evaluate what is planted
        for text in DISARRANGED:
            for extension in product.extensions if "{extension}" in text else [""]:
                statement = text if text is GIVEN_AWAY else text.format(**names, extension=extension)
                connection.execute(statement.encode())
    yield product
    server.execute(f"DROP DATABASE {product.name} WITH (FORCE)")
    server.execute("DROP ROLE IF EXISTS stray")
    provisioned(server, spec_of())


def test_what_a_superuser_changes_evaluates_nothing(server: Server, planted: Product) -> None:
    """W0, PLAT-09: extensions made and dropped, owners and rights given and taken among planted objects, every kind of each."""
    with server.connect() as connection:
        before = planting.powers(connection)
    since = server.logged
    done, _ = provision.converge(server.superuser, server.look, HEAD, prune=True)
    with server.superuser(planted.name) as connection:
        connection.execute("alter schema alembic rename to planted_alembic")
    done += provision.converge(server.superuser, server.look, HEAD, prune=True)[0]
    assert verbs(done, planted.name) == VERBS, "a new kind of change: plant for it"
    ran = planting.evaluations(server.log(since))
    assert not [str(each) for each in ran if each.power or each.gains]
    with server.connect() as connection:
        assert planting.powers(connection) == {power for power in before if power[0] != "stray"}


def verbs(changes: list[Change], database: str) -> set[str]:
    """How the statements begin that were carried out in a product's database."""
    texts = (change.sql.as_string(None).strip() for change in changes if change.database == database)
    words = (text.split()[:2] for text in texts)
    return {first if first in ("GRANT", "REVOKE", "DO") else f"{first} {second}" for first, second in words}


def test_a_superuser_is_in_no_product_without_a_change(server: Server, product: Product, fresh: str) -> None:
    """W0: where nothing differs, no superuser connects to a product's database at all."""

    def connect(database: str) -> psycopg.Connection[object]:
        assert database in (MAINTENANCE_DATABASE, "template1")  # which are nobody's
        return server.superuser(database)

    assert provision.converge(connect, server.look, HEAD, prune=True)[0] == []
