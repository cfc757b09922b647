"""W15: no program locks the others of its product out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
from psycopg import sql

from db.provision import UNLOGGED
from environment.waiting import NotReached, until
from ops.attack.attacker import Attacker
from ops.attack.attempts import Tried, attempt

WITHIN = 30
"""Seconds: each database host looks every ten (keel_host/programs/end_sessions.py)."""
VERIFIER = "select rolpassword from pg_catalog.pg_authid where rolname = %s"


@attempt("W15", waits=True)
def keeps_another_password(attacker: Attacker) -> Iterator[Tried]:
    """A login that changes its own password, which PostgreSQL allows, has the one of before within seconds: it locks no one out.

    The same verifier is written in another way, so that everybody gets in meanwhile.
    """
    roles = [entry.product.app_role for entry in attacker.manifest.products.values()]
    with attacker.session.superuser() as superuser, closing(superuser.connect("postgres")) as session:
        session.autocommit = True
        before = {role: _verifier(session, role) for role in roles}
        try:
            for role, verifier in before.items():
                _give(session, role, verifier.replace("$", "$0", 1), role)
            _all_come(lambda: all(_verifier(session, role) == verifier for role, verifier in before.items()))
            for role, verifier in before.items():
                yield Tried(f"{role} keeps another password", _verifier(session, role) != verifier)
        finally:
            for role, verifier in before.items():
                if _verifier(session, role) != verifier:
                    _give(session, role, verifier, "postgres")


def _verifier(session: psycopg.Connection[Any], role: str) -> str:
    row = session.execute(VERIFIER, [role]).fetchone()
    return str(row[0]) if row else ""


def _give(session: psycopg.Connection[Any], role: str, verifier: str, whose: str) -> None:
    """A verifier, with the rights of a role; the log does not keep it."""
    with session.transaction():
        session.execute(UNLOGGED.encode())
        session.execute(sql.SQL("set local role {}").format(sql.Identifier(whose)))
        session.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(verifier)))


def _all_come(condition: Callable[[], bool]) -> None:
    """What the environment does by itself, or the end of the wait."""
    with suppress(NotReached):
        until(condition, WITHIN, "the passwords that were put back")
