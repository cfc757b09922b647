"""Functions of the database `postgres` that run with a superuser's rights for one login of Keel's alone.

Each has a fixed search_path. No product connects to that database, so nothing of a product's is met in them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from db.change import Change

SCHEMA = "keel"
_SETTINGS = ["search_path=pg_catalog, pg_temp"]
_FOUND = b"""
select p.prosrc, p.prosecdef, p.proconfig, o.rolsuper,
       array(select coalesce(r.rolname, 'PUBLIC')
             from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
             left join pg_roles r on r.oid = a.grantee where a.grantee <> p.proowner),
       has_schema_privilege(%s, p.pronamespace, 'USAGE')
from pg_proc p join pg_roles o on o.oid = p.proowner
where p.oid = to_regprocedure(%s)
"""


@dataclass(frozen=True)
class Definer:
    """A function as it should be."""

    name: str
    """With its schema."""
    types: str
    """Of its arguments, as its signature has them."""
    declared: str
    """What CREATE FUNCTION says after the name: arguments, result, language."""
    body: str
    caller: str
    """The login that may call it."""

    @property
    def signature(self) -> str:
        """As GRANT and DROP take it."""
        return f"{self.name}({self.types})"

    def plan(self, connection: "psycopg.Connection[Any]") -> Iterator[Change]:
        """Create or repair the function in the connected database, where its schema is or comes first."""
        role = connection.execute(b"select 1 from pg_roles where rolname = %s", [self.caller]).fetchone()
        found = connection.execute(_FOUND, [self.caller, self.signature]).fetchone() if role else None
        if found is None:
            yield from (self._replace("create"), self._restrict())
            return
        body, definer, settings, owned_by_superuser, callers, usage = found
        if not owned_by_superuser:
            drop = sql.SQL(f"DROP FUNCTION {self.signature}")
            yield Change(f"drop function {self.name}: its owner is no superuser", drop)
            yield from (self._replace("create"), self._restrict())
            return
        if (body, definer, settings) != (self.body, True, _SETTINGS):
            yield self._replace("restore")
        if "PUBLIC" in callers or self.caller not in callers or not usage:
            yield self._restrict()
        for caller in sorted(set(callers) - {"PUBLIC", self.caller}):
            yield Change(
                f"revoke EXECUTE on function {self.name} from {caller}",
                sql.SQL(f"REVOKE ALL ON FUNCTION {self.signature} FROM {{}} CASCADE").format(sql.Identifier(caller)),
                removes=True,
            )

    def _replace(self, verb: str) -> Change:
        create = f"CREATE OR REPLACE FUNCTION {self.name}{self.declared} SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {{}}"
        what = f"{verb} function {self.name} in database postgres"
        return Change(what, sql.SQL(create).format(sql.Literal(self.body)))

    def _restrict(self) -> Change:
        access = sql.SQL(
            f"REVOKE ALL ON FUNCTION {self.signature} FROM PUBLIC;"
            f" GRANT USAGE ON SCHEMA {SCHEMA} TO {{0}};"
            f" GRANT EXECUTE ON FUNCTION {self.signature} TO {{0}}"
        ).format(sql.Identifier(self.caller))
        return Change(f"let only {self.caller} call {self.name}", access)


def schema(connection: "psycopg.Connection[Any]") -> Iterator[Change]:
    """Create the schema where it is missing."""
    if not connection.execute(b"select 1 from pg_namespace where nspname = %s", [SCHEMA]).fetchone():
        yield Change(f"create schema {SCHEMA} in database postgres", sql.SQL(f"CREATE SCHEMA {SCHEMA}"))
