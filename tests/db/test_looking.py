"""Keel looks into a database, and changes what is around its objects, without running what a product's login planted (W0)."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from db import found, indexes, provision, release
from db.spec import Migrated
from environment.names import LOOK
from environment.products import Product
from keel_host import catalogue
from keel_host.revision import read_revision
from tests.db.fixtures import only
from tests.rls import matrix
from tests.rls.rows import rows
from tools.scratch_server import Server, spec_of

product = only("jeex_idea")
HEAD = spec_of(migrated=Migrated.HEAD)

ARMS = """
create function public.arm() returns void language plpgsql as $$
begin
    if (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        execute 'alter role jeex_idea_migrator superuser';
    else
        execute format('alter role %I password %L', current_user, 'known');
    end if;
exception when others then null;
end $$;
"""
"""Whoever calls it makes the migrator superuser, or gives a password away."""
BODY = "language plpgsql as $$ begin perform public.arm(); return"
PLANTED = {
    "an operator that fits better": f"""
        create function public.evil(text, name) returns text {BODY} $1 operator(pg_catalog.||) $2::text; end $$;
        create operator public.|| (leftarg = text, rightarg = name, function = public.evil);
        create function public.of_oid(oid, regclass) returns boolean {BODY} $1 operator(pg_catalog.=) $2::oid; end $$;
        create operator public.= (leftarg = oid, rightarg = regclass, function = public.of_oid)""",
    "an operator of the same types": f"""
        create function public.same(name, name) returns boolean {BODY} $1 operator(pg_catalog.=) $2; end $$;
        create operator public.= (leftarg = name, rightarg = name, function = public.same)""",
    "an aggregate": f"""
        create function public.gather(text[], text) returns text[] {BODY} pg_catalog.array_append($1, $2); end $$;
        create aggregate public.array_agg(text) (sfunc = public.gather, stype = text[])""",
    "functions named like built-in ones": f"""
        create function public.pg_get_userbyid(integer) returns name {BODY} 'x'::name; end $$;
        create function public.concat_ws(text, text) returns text {BODY} $2; end $$;
        create function public.format_type(oid, oid) returns text {BODY} 'x'; end $$;
        create function public.format(text, name) returns text {BODY} $1; end $$;
        create function public.md5(name) returns text {BODY} 'x'; end $$""",
    "a cast of a row to text": f"""
        create function public.shown(public.users) returns text {BODY} 'x'; end $$;
        create cast (public.users as text) with function public.shown(public.users) as implicit""",
    "a column that is a function": f"""
        create function public.version_num(alembic.alembic_version) returns text {BODY} 'x'; end $$;
        alter table alembic.alembic_version rename column version_num to other""",
    "a view in place of the version table": f"""
        create function public.version() returns text {BODY} 'x'; end $$;
        alter table alembic.alembic_version rename to kept;
        create view alembic.alembic_version as select public.version() as version_num;
        grant select on alembic.alembic_version to keel_look""",
    "a policy on the version table": f"""
        create function public.sees() returns boolean {BODY} true; end $$;
        alter table alembic.alembic_version enable row level security;
        create policy planted on alembic.alembic_version using (public.sees())""",
    "what a change of owner or a new extension meets": f"""
        create function public.tested(text) returns boolean immutable {BODY} true; end $$;
        create domain public.tested_text as text default 'x' check (public.tested(value));
        create table public.bait (id integer, said public.tested_text);
        insert into public.bait values (1, 'x');
        create index on public.bait (public.tested(said));
        create function public.similarity(text, text) returns real immutable {BODY} 1; end $$;
        create view public.pg_stat_statements_of_mine as select public.tested('x')""",
    "settings of the database": """
        alter database jeex_idea set search_path = public, pg_catalog;
        alter database jeex_idea set role = jeex_user;
        alter database jeex_idea set row_security = on;
        alter database jeex_idea set standard_conforming_strings = off;
        alter database jeex_idea set default_transaction_read_only = on;
        alter database jeex_idea set client_encoding = 'SJIS'""",
}
"""What a database's owner may make in it; each kind is tried on all that Keel does."""


@pytest.fixture(params=PLANTED)
def planted(request: pytest.FixtureRequest, server: Server, product: Product, fresh: str) -> Iterator[Product]:
    """The product's database with objects of its owner, made by its migrator."""
    with server.connect(product.name, product.migrator_role) as connection:
        connection.execute(f"set role {product.owner_role}".encode())
        connection.execute((ARMS + PLANTED["an operator that fits better"]).encode())
        if request.param != "an operator that fits better":
            connection.execute(PLANTED[request.param].encode())
    yield product
    server.execute(f"alter role {product.migrator_role} nosuperuser")
    server.execute(f"alter database {product.name} reset all")


def gained(server: Server) -> list[Any]:
    """Superusers and passwords that should not be."""
    return server.execute(
        "select rolname from pg_authid where rolsuper and rolname <> 'postgres'"
        f" or rolname = '{LOOK}' and rolpassword is not null"
    )


LOOKS: dict[str, Callable[[psycopg.Connection[Any], Product], object]] = {
    "contents": lambda connection, _: found.read_contents(connection),
    "revision": lambda connection, _: read_revision(connection),
    "catalogue": lambda connection, _: catalogue.read(connection),
    "indexes": lambda connection, _: indexes.invalid_indexes(connection),
    "release": lambda connection, product: release.truncated(product, connection),
    "row-level security": lambda connection, product: matrix.shell(connection, product),
    "tables": lambda connection, product: matrix.unknown_tables(connection, product, rows(product)),
}


def test_whatever_looks_runs_nothing_for_others(server: Server, planted: Product) -> None:
    """W0: neither does anybody become superuser, nor does the login that looks give itself away."""
    for look in LOOKS.values():
        with server.look(planted.name) as connection:
            try:
                look(connection, planted)
            except (
                psycopg.errors.InsufficientPrivilege
            ):  # a policy is an error, or the table is no longer Keel's to read
                connection.rollback()
            except psycopg.errors.UndefinedColumn:
                connection.rollback()
            connection.rollback()
        assert gained(server) == []


DRIFT = b"""
create role stray login;
alter table public.projects owner to jeex_user;
grant create, usage on schema public to stray;
grant connect on database jeex_idea to stray;
drop extension pg_stat_statements;
alter schema auth owner to postgres;
revoke usage on schema public from jeex_user;
create extension pg_trgm schema auth;
"""


def test_whatever_is_changed_runs_nothing_for_others(server: Server, planted: Product) -> None:
    """W0: the plan's statements, most of them at once, as the superuser in the planted database."""
    name = planted.name
    with server.superuser(name) as connection:  # by hand, whatever the database is set to
        connection.execute(DRIFT)
    done, left = provision.converge(server.superuser, server.look, HEAD, prune=True)
    assert {change.database for change in done} == {"postgres", name}
    assert not [change for change in left if not change.told]
    assert gained(server) == []
    assert not [change for change in provision.plan(server.superuser, server.look, HEAD) if not change.told]


EVERYTHING = """
    do $$ declare s record; begin
      for s in select name, case vartype
            when 'bool' then case setting when 'on' then 'off' else 'on' end
            when 'enum' then (select v from unnest(enumvals) v where v <> setting limit 1)
            when 'integer' then greatest(min_val::bigint, 1)::text end as value
          from pg_settings where vartype in ('bool', 'enum', 'integer') and context in ('user', 'superuser')
      loop
        begin execute format('alter {whose} set %I = %L', s.name, s.value); exception when others then null; end;
      end loop;
    end $$
"""
"""Every one has another value than its own; timeouts end within a millisecond."""


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    "whose",
    [
        "database jeex_idea",
        f"role {LOOK}",
        f"role {LOOK} in database jeex_idea",
        "role postgres in database jeex_idea",
        "role all",
    ],
)
def test_no_setting_of_a_database_or_a_login_reaches_keels_sessions(
    server: Server, product: Product, whose: str
) -> None:
    """W0, PLAT-48: neither ends one, nor makes it see something else, whichever it is."""
    seen = [_seen(server, product, look) for look in LOOKS.values()]
    with server.superuser("postgres") as by_hand:  # which goes on whatever is set
        by_hand.execute(EVERYTHING.replace("{whose}", whose).encode())
        by_hand.commit()
        try:
            assert [_seen(server, product, look) for look in LOOKS.values()] == seen
            with server.superuser(product.name) as connection:
                wrong = connection.execute(
                    "select name, setting from pg_settings where source in ('global', 'database', 'user', 'database user')"
                    " and setting <> boot_val"
                ).fetchall()
            changes = provision.plan(server.superuser, server.look, HEAD)
        finally:
            by_hand.execute(f"alter {whose} reset all".encode())
            by_hand.commit()
    assert wrong == []
    assert len(changes) > 100 or whose == "role postgres in database jeex_idea"


def _seen(server: Server, product: Product, look: Callable[[psycopg.Connection[Any], Product], object]) -> object:
    with server.look(product.name) as connection:
        return look(connection, product)


def test_the_login_that_looks_can_do_nothing_else(server: Server, product: Product, fresh: str) -> None:
    """W0: no row, no object, no password of its own; what it calls by its name runs with no rights and changes nothing."""
    with server.connect(product.name, product.migrator_role) as connection:
        connection.execute(f"set role {product.owner_role}; {ARMS}".encode())
        connection.execute(b"grant usage on schema public to public")
    attempts = {
        "alter role keel_look password 'x'": psycopg.errors.ReadOnlySqlTransaction,
        "set transaction read write": psycopg.errors.ActiveSqlTransaction,
        "create temp table mine ()": psycopg.errors.ReadOnlySqlTransaction,
        "select * from public.users": psycopg.errors.InsufficientPrivilege,
        "set role pg_read_all_data": psycopg.errors.InsufficientPrivilege,
        "select rolpassword from pg_authid": psycopg.errors.InsufficientPrivilege,
    }
    with server.look(product.name) as connection:
        connection.execute("select public.arm()")
        for attempt, error in attempts.items():
            with pytest.raises(error), connection.transaction():
                connection.execute(attempt.encode())
        assert connection.execute("select count(*) from alembic.alembic_version").fetchone() == (1,)
    assert gained(server) == []


def test_a_database_from_before_there_was_a_login_that_looks(server: Server, product: Product, fresh: str) -> None:
    """It is let in first, then the rest is planned: an environment of an older release, or a cluster restored from one."""
    statements = (
        f"revoke all on database {product.name} from {LOOK}",
        f"revoke all on all tables in schema alembic from {LOOK}",
        f"revoke all on schema alembic, public from {LOOK}",
        f"alter default privileges for role {product.owner_role} in schema alembic revoke all on tables from {LOOK}",
        "revoke usage on schema public from jeex_user",
    )
    for statement in statements:
        server.execute(statement, product.name)
    first = provision.plan(server.superuser, server.look, HEAD)
    assert [change.what for change in first] == [f"grant CONNECT on database {product.name} to {LOOK}"]
    done, left = provision.converge(server.superuser, server.look, HEAD, prune=False)
    assert left == [] and len(done) == 6
    assert f"let {LOOK} read the version table of {product.name}" in [change.what for change in done]
    assert provision.plan(server.superuser, server.look, HEAD) == []
    with server.look(product.name) as connection:
        assert read_revision(connection)


def test_a_password_of_a_role_that_has_none_goes(server: Server, product: Product, fresh: str) -> None:
    """PLAT-11: a login of the socket alone does not come over the network."""
    server.execute(f"alter role {LOOK} password 'known'")
    (change,) = provision.plan(server.superuser, server.look, HEAD)
    assert change.what == f"take the password of role {LOOK} away"
    provision.apply(server.superuser, [change])
    assert gained(server) == []


def test_the_login_that_looks_sees_the_record(server: Server, product: Product, fresh: str) -> None:
    """PLAT-13: names and definitions as the superuser sees them, though it owns nothing there."""
    with server.look(product.name) as connection:
        assert catalogue.differences(catalogue.recorded(product.catalogue_file), catalogue.read(connection)) == []
