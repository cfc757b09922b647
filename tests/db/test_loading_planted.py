"""Loading a restored database evaluates what its owner planted, and nobody gains anything by it (W0)."""

from __future__ import annotations

import pytest

from environment.names import RESTORE
from environment.products import Product
from ops.backup import loading
from tests.db.fixtures import only
from tests.db.loaded import Here, loaded
from tools.scratch_server import Server

product = only("ruleiq")

PLANTED = """
create function public.try_it() returns boolean language plpgsql as $$ begin
    if (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        execute format('alter role %I superuser', '{migrator}');
    end if;
    return true;
end $$;
create function public.gain(integer) returns boolean immutable language plpgsql as 'begin return public.try_it(); end';
create domain public.planted as integer check (public.gain(value));
create table public.sown (a public.planted, b integer check (public.gain(b)), c boolean generated always as (public.gain(b)) stored);
create index on public.sown (public.gain(b));
alter table public.sown enable row level security; alter table public.sown force row level security;
create policy sown on public.sown using (public.gain(b));
insert into public.sown values (1, 1)
"""


@pytest.mark.parametrize("role", [RESTORE, "postgres"])
def test_nobody_gains_anything_but_from_a_superuser(server: Server, product: Product, fresh: str, role: str) -> None:
    """W0. The second shows what loading as superuser would do."""
    with server.connect(product.name, product.migrator_role) as connection:
        connection.execute(f"set role {product.owner_role}".encode())
        connection.execute(PLANTED.replace("{migrator}", product.migrator_role).encode())
    server.execute("create table public.by_hand (id integer)", product.name)
    told: list[str] = []
    try:
        there = loaded(server, product, told, role)
        gained = server.execute("select rolname from pg_roles where rolsuper and rolname <> 'postgres'")
        assert gained == ([] if role == RESTORE else [(product.migrator_role,)])
        assert server.execute("select count(*) from public.sown", there) == [(1,)]
    finally:
        server.execute(f"alter role {product.migrator_role} nosuperuser")
        server.execute(f"drop database if exists {loading.coming(product.name)} with (force)")
    assert told == [
        "ruleiq: left out, because the superuser owns it: TABLE public by_hand",
        "ruleiq: left out, because the superuser owns it: TABLE DATA public by_hand",
    ]


def test_what_a_killed_run_left_goes(server: Server, product: Product, fresh: str) -> None:
    """W0: its login owns what it had loaded."""
    here = Here(server)
    with loading.login(here, product):
        loading.make_room(here, product, "another_restoring")
        server.execute(f"set role {RESTORE}; create schema half", "another_restoring")
        server.execute("create table kept (id integer)", product.name)
        with loading.login(here, product):
            assert not server.execute("select 1 from pg_database where datname = 'another_restoring'")
