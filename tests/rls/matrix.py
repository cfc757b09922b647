"""Who may do what with which row: every table that exists × command × identity, and the ways around (PLAT-16).

Every function gives sentences about what should not be; an empty list is a pass. The tables come from pg_class, so
that one outside the models is seen too.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from db.queries import plan_nodes
from environment.products import Product
from tests.rls.attempts import REFUSED, Outcome, bound, outcomes, reached
from tests.rls.tenants import Connection, Tenant, Tenants
from tests.rls.tenants import tenants as tenants_of

INTEGRITY = "23"
"""Class of the SQLSTATEs of constraints."""
TABLES = "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"


def unknown_tables(connection: Connection, product: Product, known: dict[str, Any]) -> list[str]:
    """Tables that nobody said how to try, and that are not shared on purpose."""
    shared = {name for name, table in product.tables.items() if table.shared}
    found = {name for (name,) in connection.execute(TABLES).fetchall()}
    return [
        f"{product.name}.{name}: a table without a row in tests/rls/{product.name}.py, and not declared shared"
        for name in sorted(found - shared - known.keys())
    ]


def violations(tenants: Tenants) -> Iterator[str]:
    """Every table × select, insert, update, delete × own, other, unset and empty identity."""
    tried = [
        (table, owner, who, identity, command)
        for table in tenants.rows
        for owner, other in tenants.pairs()
        for who, identity in {"own": owner.identity, "other": other.identity, "unset": None, "empty": ""}.items()
        for command in COMMANDS
    ]
    attempts = [(identity, COMMANDS[command](tenants, table, owner)) for table, owner, _, identity, command in tried]
    # An insert that only finds its key taken, a delete that something else needs the row for: the policy let them through.
    found = reached(tenants.connection, attempts, allowed=INTEGRITY)
    for (table, _, who, _, command), reaches in zip(tried, found, strict=True):
        if reaches is not (who == "own" and (tenants.product.tables[table].writes or command == "select")):
            yield f"{table}: {command} with {who} identity {'reaches the row' if reaches else 'is refused'}"


def strangers_rows(tenants: Tenants) -> Iterator[str]:
    """Rows seen beside one's own, and any at all without an identity."""
    who = [(table, identity) for table in tenants.rows for identity in (*tenants.identities, None, "")]
    seen = outcomes(tenants.connection, [(identity, f"select from {table}") for table, identity in who])
    for (table, identity), rows in zip(who, seen, strict=True):
        if identity and rows != 1:
            yield f"{table}: {rows} rows are seen, one is one's own"
        if not identity and rows != 0:
            yield f"{table}: {rows} rows are seen without an identity"


def handed_over(tenants: Tenants) -> Iterator[str]:
    """One's own row moved to the other tenant, or below the other's parent, which a foreign key would allow."""
    for owner, other in tenants.pairs():
        values = {"other_identity": other.identity} | {f"other_{table}": key for table, key in other.keys.items()}
        attempts = [
            (owner.identity, _bound(tenants, f"update {table} set {row.move}", table, owner, values))
            for table, row in tenants.rows.items()
        ]
        for table, given in zip(tenants.rows, reached(tenants.connection, attempts), strict=True):
            if given:
                yield f"{table}: {tenants.rows[table].move} gives the row away"


def around(tenants: Tenants) -> Iterator[str]:
    """COPY, predicates that fail on a hidden row, upserts, row_security = off, statistics."""
    connection = tenants.connection
    for owner, other in tenants.pairs():
        tenants.become(owner.identity)
        for table in tenants.rows:
            with connection.cursor().copy(f"copy {table} to stdout".encode()) as lines:
                copied = sum(1 for _ in lines.rows())
            if copied != 1:
                yield f"{table}: COPY gives {copied} rows"
        for says, statement, harmless in WAYS_AROUND:
            attempts = [(owner.identity, statement(tenants, table, other)) for table in tenants.rows]
            for table, outcome in zip(tenants.rows, outcomes(connection, attempts), strict=True):
                if outcome != harmless:
                    yield f"{table}: {says} ({outcome})"
    rows = connection.execute("select distinct tablename::text from pg_stats where schemaname = 'public'").fetchall()
    yield from (f"{name}: its statistics are readable in pg_stats" for (name,) in rows if name in tenants.rows)


def identity_per_row(tenants: Tenants) -> Iterator[str]:
    """Plans in which the identity is read for every row instead of once."""
    tenants.become(tenants.ada.identity)
    for table in tenants.rows:
        row = tenants.connection.execute(f"explain (verbose, format json) select * from {table}".encode()).fetchone()
        assert row
        plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
        for node in plan_nodes(plan[0]["Plan"]):
            conditions = [text for name, text in node.items() if name.endswith(("Filter", "Cond"))]
            if any("current_setting" in str(text) for text in conditions):
                yield f"{table}: {node['Node Type']} reads the identity for each row: {conditions}"


def untouched(tenants: Tenants) -> Iterator[str]:
    """Tables whose updated_at an update does not move, or moves to what the client says."""
    tenants.become(tenants.ada.identity)
    connection = tenants.connection
    for table, row in tenants.rows.items():
        if '"updated_at"' not in tenants.ada.copies[table]:
            continue
        statement = f"update {table} set updated_at = '2000-01-01', {row.change} returning updated_at = now()"
        if connection.execute(statement.encode()).fetchone() != (True,):
            yield f"{table}.updated_at was not maintained"


WORKERS_USER = (
    "insert into users (id, email, hashed_password)"
    " values (current_setting('app.current_user_id')::uuid, %(tag)s || '@keel.invalid', '!') returning id"
)


def worker(connection: Connection, product: Product) -> list[str]:
    """What the worker role does not see, and what it changes without an identity, on its own session. The rows are its own."""
    problems = []
    with tenants_of(connection, product, insert=WORKERS_USER) as two:
        for tenant in (two.ada, two.grace):
            attempts = [("", _select(two, table, tenant)) for table in two.rows]
            seen = zip(two.rows, reached(connection, attempts), strict=True)
            problems += [f"{table}: {product.worker_role} does not see all rows" for table, sees in seen if not sees]
        changes = {
            (table, statement.split()[0]): statement
            for table, row in two.rows.items()
            for statement in (f"update {table} set {row.change}", f"delete from {table}")
        }
        changed = zip(changes, reached(connection, [("", change) for change in changes.values()]), strict=True)
        problems += [
            f"{table}: {product.worker_role} may {command} without an identity"
            for (table, command), does in changed
            if does
        ]
    return problems


SHELL = """
select format('view %%s runs with the rights of its owner', c.oid::regclass) from pg_class c
where c.relnamespace in ('public'::regnamespace, coalesce(to_regnamespace('auth'), 'public'::regnamespace))
  and c.relkind in ('v', 'm')
  and not coalesce(c.reloptions, '{}') && '{security_invoker=true,security_invoker=on,security_invoker=1}'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
union all
select format('function %%s runs as %%s', p.oid::regprocedure, pg_get_userbyid(p.proowner)) from pg_proc p
where p.pronamespace::regnamespace::text in ('public', 'auth') and p.prosecdef
  and pg_get_userbyid(p.proowner) is distinct from %(auth)s
  and not (p.prorettype = 'trigger'::regtype and p.proowner = any (%(keepers)s::regrole[]))
union all
select format('function %%s has no search_path of its own', p.oid::regprocedure) from pg_proc p
where p.pronamespace::regnamespace::text in ('public', 'auth') and p.prosecdef
  and not exists (select from unnest(p.proconfig) s where s like 'search_path=%%')
union all
select format('function %%s may be executed by everybody', p.oid::regprocedure) from pg_proc p,
     aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
where p.pronamespace::regnamespace::text in ('public', 'auth') and a.grantee = 0
  and p.proname <> 'uuidv7'
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
union all
select format('table %%s: row-level security is %%s, %%s', c.relname, case when relrowsecurity then 'enabled' else 'disabled' end,
              case when relforcerowsecurity then 'forced' else 'not forced' end) from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> all (%(shared)s)
  and not (relrowsecurity and relforcerowsecurity)
union all
select format('table %%s: no policy for %%s', c.relname, command)
from pg_class c, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) command
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> all (%(shared)s)
  and not exists (
      select from pg_policies p
      where p.schemaname = 'public' and p.tablename = c.relname and p.cmd in ('ALL', command) and p.roles = '{public}'
        and (command = 'INSERT' or p.qual is not null)
        and (command in ('SELECT', 'DELETE') or p.with_check is not null))
"""


def shell(connection: Connection, product: Product) -> list[str]:
    """What the catalogue says: tables without protection, views and functions with somebody else's rights.

    A trigger may have the owner's where a table is declared to be written by one.
    """
    shared = [name for name, table in product.tables.items() if table.shared or not product.identity_type]
    keepers = [] if all(table.writes for table in product.tables.values()) else [product.owner_role]
    given = {"auth": product.auth_role, "shared": shared, "keepers": keepers}
    found = connection.execute(SHELL.encode(), given).fetchall()
    return [f"{product.name}: {line}" for (line,) in found]


def _select(tenants: Tenants, table: str, owner: Tenant) -> str:
    return _bound(tenants, f"select from {table}", table, owner)


def _update(tenants: Tenants, table: str, owner: Tenant) -> str:
    return _bound(tenants, f"update {table} set {tenants.rows[table].change}", table, owner)


def _delete(tenants: Tenants, table: str, owner: Tenant) -> str:
    return _bound(tenants, f"delete from {table}", table, owner)


def _insert(tenants: Tenants, table: str, owner: Tenant) -> str:
    """A copy of the row: with one's own identity the policy admits it, and only then its key is found taken."""
    statement = f"insert into {table} select * from jsonb_populate_record(null::{table}, %(copy)s::jsonb)"
    return bound(tenants.connection, statement, {"copy": owner.copies[table]})


def _upsert(tenants: Tenants, table: str, other: Tenant) -> str:
    return _insert(tenants, table, other) + " on conflict do nothing"


def _spy(tenants: Tenants, table: str, other: Tenant) -> str:
    query = f"select from {table} where 1 / (case when {tenants.rows[table].key}::text = %(key)s then 0 else 1 end) > 0"
    return bound(tenants.connection, query, {"key": str(other.keys[table])})


def _unprotected(tenants: Tenants, table: str, other: Tenant) -> str:
    return f"set local row_security = off; select from {table}"


def _truncate(tenants: Tenants, table: str, other: Tenant) -> str:
    return f"truncate {table} cascade"


def _bound(
    tenants: Tenants, statement: str, table: str, owner: Tenant, values: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """The statement for the one row of ``owner``."""
    where = f" where {tenants.rows[table].key} = %(key)s"
    return bound(tenants.connection, statement + where, {**values, "key": owner.keys[table]})


COMMANDS = {"select": _select, "update": _update, "delete": _delete, "insert": _insert}

WAYS_AROUND: tuple[tuple[str, Callable[[Tenants, str, Tenant], str], Outcome], ...] = (
    ("a predicate is evaluated on a row that is not seen", _spy, 1),
    ("INSERT … ON CONFLICT DO NOTHING tells that a stranger's row exists", _upsert, REFUSED),
    ("row_security = off is allowed", _unprotected, REFUSED),
    ("TRUNCATE is allowed", _truncate, REFUSED),
)
"""What it would mean, the statement, and what becomes of it where all is well: one's own row, or a refusal."""
