"""A product's login keeps the password that Keel gave it (W15).

PostgreSQL lets every login change its own password, and has no privilege to take that away: one program could lock the others of
its product out. So the database `postgres` holds the verifiers as provisioning left them, and a function that puts back what
differs. Each database host calls it every ten seconds (keel_host/programs/end_sessions.py).
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from db.change import Change
from db.definer import Definer
from environment.names import PUT_BACK, SESSIONS

_BODY = Path(__file__).with_name("put_back.sql").read_text()
FUNCTION = Definer(PUT_BACK, "", "() RETURNS SETOF text LANGUAGE plpgsql", _BODY, SESSIONS)
_CREATE = sql.SQL("CREATE TABLE keel.passwords (login name PRIMARY KEY, verifier text NOT NULL)")
_READ = b"SELECT login::text, verifier FROM keel.passwords"
_FORGET = sql.SQL("DELETE FROM keel.passwords WHERE login IN ({})")
_REMEMBER = sql.SQL("""
DELETE FROM keel.passwords WHERE login IN ({0}) OR login NOT IN (SELECT rolname FROM pg_roles);
INSERT INTO keel.passwords SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL AND rolname IN ({0})
""")


def read(connection: "psycopg.Connection[Any]") -> dict[str, str] | None:
    """Login → verifier, as they were remembered; None where there is no table yet."""
    there = connection.execute(b"select to_regclass('keel.passwords') is not null").fetchone()
    if there != (True,):
        return None
    return dict(connection.execute(_READ).fetchall())


def table(kept: Mapping[str, str] | None) -> Iterable[Change]:
    """Create it where it is missing."""
    if kept is None:
        yield Change("create the table of the products' passwords in database postgres", _CREATE)


def forget(kept: Mapping[str, str] | None, given: Collection[str]) -> Iterable[Change]:
    """Before logins are ``given`` other passwords: or the old ones would be put back. An interrupted run leaves none."""
    if kept and (old := kept.keys() & given):
        yield Change("forget the passwords of the products' logins", _FORGET.format(_literals(old)))


def remember(
    kept: Mapping[str, str] | None, verifiers: Mapping[str, str | None], given: Collection[str]
) -> Iterable[Change]:
    """What the logins of ``verifiers`` have now, or have once they are ``given`` theirs. Those of another checkout's products stay."""
    wanted = {login: verifier for login, verifier in verifiers.items() if verifier}
    if given or wanted != {login: verifier for login, verifier in (kept or {}).items() if login in verifiers}:
        yield Change("remember the passwords of the products' logins", _REMEMBER.format(_literals(verifiers)))


def _literals(names: Collection[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Literal, sorted(names)))
