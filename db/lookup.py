"""PgBouncer's way to a user's verifier (PLAT-22): a function in the database `postgres`.

It runs as its owner, a superuser, with a fixed search_path, and only `keel_pgbouncer` may call it. It shows
the logins of products that come through the pooler, and no role that sees all rows (PLAT-21, W4).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from db.change import Change
from environment.names import LOOKUP, PGBOUNCER
from environment.products import Product

_BODY = Path(__file__).with_name("user_lookup.sql").read_text()
_SETTINGS = ["search_path=pg_catalog, pg_temp"]
_CREATE = sql.SQL(
    f"CREATE OR REPLACE FUNCTION {LOOKUP}(wanted text, OUT username text, OUT password text)"
    " RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {}"
)
_ACCESS = sql.SQL(
    f"REVOKE ALL ON FUNCTION {LOOKUP}(text) FROM PUBLIC;"
    " GRANT USAGE ON SCHEMA keel TO {0};"
    f" GRANT EXECUTE ON FUNCTION {LOOKUP}(text) TO {{0}}"
).format(sql.Identifier(PGBOUNCER))
_FOUND = b"""
select p.prosrc, p.prosecdef, p.proconfig, o.rolsuper,
       array(select coalesce(r.rolname, 'PUBLIC')
             from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
             left join pg_roles r on r.oid = a.grantee where a.grantee <> p.proowner),
       has_schema_privilege(%s, p.pronamespace, 'USAGE')
from pg_proc p join pg_roles o on o.oid = p.proowner
where p.oid = to_regprocedure(%s)
"""


def plan(connection: "psycopg.Connection[Any]", products: Iterable[Product]) -> list[Change]:
    """Create or repair schema and function in the connected database."""
    wanted = _body(products)
    if not connection.execute(b"select 1 from pg_namespace where nspname = 'keel'").fetchone():
        schema = Change("create schema keel in database postgres", sql.SQL("CREATE SCHEMA keel"))
        return [schema, _replace("create", wanted), _restrict()]
    role_exists = connection.execute(b"select 1 from pg_roles where rolname = %s", [PGBOUNCER]).fetchone()
    found = connection.execute(_FOUND, [PGBOUNCER, f"{LOOKUP}(text)"]).fetchone() if role_exists else None
    if found is None:
        return [_replace("create", wanted), _restrict()]
    body, definer, settings, owned_by_superuser, callers, usage = found
    changes = []
    if not owned_by_superuser:
        drop = sql.SQL(f"DROP FUNCTION {LOOKUP}(text)")
        return [
            Change(f"drop function {LOOKUP}: its owner is no superuser", drop),
            _replace("create", wanted),
            _restrict(),
        ]
    if (body, definer, settings) != (wanted, True, _SETTINGS):
        changes.append(_replace("restore", wanted))
    if "PUBLIC" in callers or PGBOUNCER not in callers or not usage:
        changes.append(_restrict())
    changes += [
        Change(
            f"revoke EXECUTE on function {LOOKUP} from {caller}",
            sql.SQL(f"REVOKE ALL ON FUNCTION {LOOKUP}(text) FROM {{}} CASCADE").format(sql.Identifier(caller)),
            removes=True,
        )
        for caller in sorted(set(callers) - {"PUBLIC", PGBOUNCER})
    ]
    return changes


def _body(products: Iterable[Product]) -> str:
    """The function's text for these products; a name holds nothing that a literal would have to escape."""
    names = sorted(role for product in products for role in product.pooled_roles)
    return _BODY.format(roles=", ".join(f"'{name}'" for name in names) or "null")


def _replace(verb: str, body: str) -> Change:
    return Change(f"{verb} function {LOOKUP} in database postgres", _CREATE.format(sql.Literal(body)))


def _restrict() -> Change:
    return Change(f"let only {PGBOUNCER} call {LOOKUP}", _ACCESS)
