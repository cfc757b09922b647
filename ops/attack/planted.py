"""W0: what Keel's own sessions are, and what they make of what an owner plants.

An owner's objects are in a database that is made for the attempt and goes with it, so no product meets them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from db.found import read_contents
from environment.names import BACKUP, LOOK, SUPERUSER
from keel_host import catalogue
from keel_host.revision import read_revision
from ops.attack.attacker import Attacker
from ops.attack.attempts import Tried, attempt, must_work
from ops.hosts.session import Superuser
from roles import paths

SCRATCH = "keel_attack"
SPRUNG = "keel-attack: something planted ran"
TRAPS = """
create function public.sprung(anyelement) returns boolean language plpgsql immutable as $$ begin return true; end $$;
create domain public.checked as text check (public.sprung(1));
create table public.planted (id integer primary key, said public.checked, made boolean generated always as (public.sprung(1)) stored,
                             check (public.sprung(1)));
insert into public.planted (id, said) values (1, 'row');
create index on public.planted (public.sprung(said));
create schema alembic;
create table alembic.planted_version (version_num text);
create view alembic.alembic_version as select * from alembic.planted_version where public.sprung(1);
create function public.joined(text, name) returns text language plpgsql immutable as $$ begin perform public.sprung(1); return $1; end $$;
create operator public.|| (leftarg = text, rightarg = name, function = public.joined);
create function public.same(name, name) returns boolean language plpgsql immutable as $$ begin return public.sprung(1); end $$;
create operator public.= (leftarg = name, rightarg = name, function = public.same);
create operator public.<> (leftarg = name, rightarg = name, function = public.same);
create function public.format(text, name, name) returns text language plpgsql immutable as $$ begin perform public.sprung(1); return $1; end $$;
create function public.added(text[], text) returns text[] language plpgsql as $$ begin perform public.sprung(1); return $1; end $$;
create aggregate public.array_agg(text) (sfunc = public.added, stype = text[]);
create function public.written(public.planted) returns text language plpgsql as $$ begin perform public.sprung(1); return ''; end $$;
create cast (public.planted as text) with function public.written(public.planted) as implicit;
create policy planted on public.planted using (public.sprung(1));
alter table public.planted enable row level security, force row level security;
grant usage on schema alembic to public;
grant select on all tables in schema public, alembic to public;
"""
"""One of each kind that was the way to a superuser: operators, a function and an aggregate that fit better than PostgreSQL's, a cast
of a row, a view in place of a table, and what a table's owner lets be evaluated."""
ARMED = "create or replace function public.sprung(anyelement) returns boolean language plpgsql immutable as $$ begin raise exception '{}'; end $$"
FIRST = "alter database {} set search_path = public, pg_catalog"
"""Of whoever says nothing else."""
FORBIDDEN = {
    "becomes the superuser": "set role postgres",
    "gives itself a password": "alter role current_user password 'keel-attack'",
    "may write": "select pg_catalog.set_config('transaction_read_only', 'off', true)",
    "creates something": "create table public.keel_attack ()",
    "reads verifiers": "select rolpassword from pg_authid",
    "reads the server's files": "select pg_read_file('PG_VERSION')",
    "runs a program": "copy (select 1) to program 'true'",
}
FIXED = {"search_path": "pg_catalog", "row_security": "off", "restrict_nonsystem_relation_kind": "view, foreign-table"}
"""How every session of Keel's in a product's database begins (`db.sessions`)."""


@attempt("W0")
def looks_with_power(attacker: Attacker) -> Iterator[Tried]:
    """Whatever an owner plants, Keel meets it in sessions that find PostgreSQL's own names first and may do nothing but read."""
    with attacker.session.superuser() as superuser:
        for database in attacker.manifest.products:
            with superuser.look(database) as session:
                for what, statement in FORBIDDEN.items():
                    yield Tried(f"{LOOK} in {database} {what}", not (said := _refusal(session, statement)), said)
                yield from _begins(f"{LOOK} in {database}", session)
            with superuser.look(database, BACKUP) as session:
                yield from _begins(f"{BACKUP} in {database}", session)
            with superuser.connect(database) as session:
                yield from _begins(f"{SUPERUSER} in {database}", session)


def _begins(subject: str, session: psycopg.Connection[Any]) -> Iterator[Tried]:
    for name, wanted in FIXED.items():
        row = session.execute("select pg_catalog.current_setting(%s, true)", [name]).fetchone()
        # An older minor version does not have it.
        found = str(row[0]) if row and row[0] is not None else wanted
        yield Tried(f"{subject}: {name}", found.replace(" ", "") != wanted.replace(" ", ""), found)


def _refusal(session: psycopg.Connection[Any], statement: str) -> str:
    try:
        session.execute(statement.encode())
    except psycopg.Error as error:
        return " ".join(str(error).split())[:150]
    finally:
        session.rollback()
    return ""


@attempt("W0")
def planted_objects(attacker: Attacker) -> Iterator[Tried]:
    """Nothing that an owner plants runs in a session of Keel's: not when it looks, and not when it dumps or records a known moment."""
    owner = next(iter(attacker.manifest.products.values())).product.owner_role
    with attacker.session.superuser() as superuser, _planted(superuser, owner):
        with superuser.connect(SCRATCH) as session:
            session.execute(sql.SQL("set role {}").format(sql.Identifier(owner)))
            said = _refusal(session, "select ''::public.checked")
            yield from must_work("a domain of the owner's runs", SPRUNG in said, said)
        looks: dict[str, Callable[[psycopg.Connection[Any]], object]] = {
            "plan, drift and verification": read_contents,
            "the verification's catalogue": catalogue.read,
            "the revision": read_revision,
        }
        for what, look in looks.items():
            with superuser.look(SCRATCH) as session:
                yield _sprung(f"{what} as {LOOK}", _error(look, session))
        repository = attacker.manifest.repository_host.name
        for what, script in _PROGRAMS.items():
            answer = attacker.shell(repository, script, "postgres")
            yield from must_work(
                f"{what} of {repository}", "keel-attack: done" in answer.text or SPRUNG in answer.text, answer.last
            )
            yield _sprung(f"{what} as {BACKUP}", answer.text)


_WITH = f"import sys; sys.path.insert(0, '{paths.LIBRARY}'); from keel_host.config import BackupHost, read; where = read(BackupHost).server + ' dbname={SCRATCH}'; "
_PROGRAMS = {
    "a known moment": f"python3 -c \"{_WITH}from keel_host.fingerprint import connect, fingerprint; fingerprint(connect(where)); print('keel-attack: done')\"",
    "a dump": f"python3 -c \"{_WITH}from keel_host.programs.dump_databases import plain; from pathlib import Path; plain(where, Path('/dev/null')); print('keel-attack: done')\"",
}


def _sprung(subject: str, said: str) -> Tried:
    return Tried(subject, SPRUNG in said, said.strip()[-200:] if SPRUNG in said else "")


def _error(look: Callable[[psycopg.Connection[Any]], object], session: psycopg.Connection[Any]) -> str:
    try:
        look(session)
    except psycopg.Error as error:
        return str(error)
    return ""


@contextmanager
def _planted(superuser: Superuser, owner: str) -> Iterator[None]:
    """A database with one of each, which goes at the end, and first if an attempt that was killed left one."""
    names = {"scratch": SCRATCH, "owner": owner}
    _execute(superuser, "drop database if exists {scratch} with (force)", **names)
    _execute(superuser, "create database {scratch} owner {owner} template template0", **names)
    try:
        with superuser.connect(SCRATCH) as session:
            session.execute(sql.SQL("set role {}").format(sql.Identifier(owner)))
            for statement in (TRAPS, ARMED.format(SPRUNG), FIRST.format(SCRATCH)):
                session.execute(statement.encode())
        yield
    finally:
        _execute(superuser, "drop database if exists {scratch} with (force)", **names)


def _execute(superuser: Superuser, statement: str, **names: str) -> None:
    with superuser.connect("postgres") as session:
        session.autocommit = True
        session.execute(sql.SQL(statement).format(**{key: sql.Identifier(name) for key, name in names.items()}))
