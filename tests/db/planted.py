"""A database whose owner has planted whatever an owner can make, and what of it runs fails (W0)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.scratch_server import SUPERUSER_PASSWORD, Server

DATABASE = "planted_reading"
PLANTED = """
create function public.of_number(integer) returns integer immutable language plpgsql as 'begin return 1; end';
create function public.of_row(text) returns boolean immutable language plpgsql as 'begin return true; end';
create function public.of_pair(text, name) returns text immutable language plpgsql as 'begin return $1; end';
create function public.of_pair(text, text) returns text immutable language plpgsql as 'begin return $1; end';
create function public.add(numeric, numeric) returns numeric immutable language plpgsql as 'begin return $1; end';
create function public.gather(text[], text) returns text[] immutable language plpgsql as 'begin return $1; end';
create domain public.checked as text check (public.of_row(value));
create table public.users (id integer, name public.checked, twice integer generated always as (public.of_number(id)) stored);
create table public.notes as select * from (values ('one'), ('two')) _ (said);
create function public.as_text(public.users) returns text language plpgsql as 'begin return ''''; end';
create function public.as_json(public.users) returns json language plpgsql as 'begin return ''{}''; end';
create cast (public.users as text) with function public.as_text(public.users) as implicit;
create cast (public.users as json) with function public.as_json(public.users);
create function public.textin(public.users) returns text language plpgsql as 'begin return ''''; end';
create function public.hashtextextended(text, integer) returns bigint immutable language plpgsql as 'begin return 1; end';
create operator public.|| (leftarg = text, rightarg = name, function = public.of_pair);
create operator public.|| (leftarg = text, rightarg = text, function = public.of_pair);
create aggregate public.sum(numeric) (sfunc = public.add, stype = numeric, initcond = '0');
create aggregate public.array_agg(text) (sfunc = public.gather, stype = text[]);
create index on public.users (public.of_number(1));
create index on public.users (id) where public.of_number(2) = 1;
create statistics public.planted on id, (public.of_number(id)) from public.users;
create policy planted on public.users using (public.of_row(name));
alter table public.users enable row level security;
alter table public.users force row level security;
create schema alembic;
create table alembic.alembic_version (version_num text);
insert into alembic.alembic_version values ('012_last');
create index on alembic.alembic_version (public.of_number(3));
insert into public.users values (1, 'one'), (2, 'two');
"""
ARMED = """
do $$ declare f regprocedure; begin
    for f in select oid from pg_proc where pronamespace = 'public'::regnamespace and prokind = 'f' loop
        execute replace(pg_get_functiondef(f), 'begin return', 'begin raise exception ''planted code runs''; return');
    end loop;
end $$
"""
"""From now on whatever calls one of them fails."""


@pytest.fixture
def planted(server: Server) -> Iterator[str]:
    """Connection string, as superuser, of a database whose owner has planted in it."""
    server.execute("create role planter login")
    server.execute(f"create database {DATABASE} owner planter")
    server.execute(f"set role planter; {PLANTED}; {ARMED}", DATABASE)
    yield f"host=127.0.0.1 port={server.port} user=postgres password={SUPERUSER_PASSWORD} dbname={DATABASE}"
    server.execute(f"drop database {DATABASE} with (force)")
    server.execute("drop role planter")
