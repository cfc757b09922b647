"""Who may do what with which row: every table that exists × command × identity, and the ways around (PLAT-16).

Every function gives sentences about what should not be; an empty list is a pass. The tables come from pg_class, so
that one outside the models is seen too.
"""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import errors

from db.queries import plan_nodes
from environment.products import Product
from tests.rls.tenants import Connection, Tenant, Tenants
from tests.rls.tenants import tenants as tenants_of

REFUSED = (errors.InsufficientPrivilege,)
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
    for table in tenants.rows:
        written = tenants.product.tables[table].writes
        for owner, other in tenants.pairs():
            for who, identity in {"own": owner.identity, "other": other.identity, "unset": None, "empty": ""}.items():
                tenants.become(identity)
                for command in (_select, _update, _delete, _insert):
                    reached = command(tenants, table, owner)
                    if reached is not (who == "own" and (written or command is _select)):
                        name = command.__name__.strip("_")
                        yield f"{table}: {name} with {who} identity {'reaches the row' if reached else 'is refused'}"


def strangers_rows(tenants: Tenants) -> Iterator[str]:
    """Rows seen beside one's own, and any at all without an identity."""
    for owner, _ in tenants.pairs():
        for table in tenants.rows:
            tenants.become(owner.identity)
            if (seen := tenants.count(table)) != 1:
                yield f"{table}: {seen} rows are seen, one is one's own"
            for identity in (None, ""):
                tenants.become(identity)
                if seen := tenants.count(table):
                    yield f"{table}: {seen} rows are seen without an identity"


def handed_over(tenants: Tenants) -> Iterator[str]:
    """One's own row moved to the other tenant, or below the other's parent, which a foreign key would allow."""
    for owner, other in tenants.pairs():
        tenants.become(owner.identity)
        values = {"other_identity": other.identity} | {f"other_{table}": key for table, key in other.keys.items()}
        for table, row in tenants.rows.items():
            statement = f"update {table} set {row.move} where {row.key} = %(key)s"
            if _changed(tenants, statement, values | {"key": owner.keys[table]}):
                yield f"{table}: {row.move} gives the row away"


def around(tenants: Tenants) -> Iterator[str]:
    """COPY, predicates that fail on a hidden row, upserts, row_security = off, statistics."""
    connection = tenants.connection
    for owner, other in tenants.pairs():
        tenants.become(owner.identity)
        for table, row in tenants.rows.items():
            with connection.cursor().copy(f"copy {table} to stdout".encode()) as lines:
                copied = sum(1 for _ in lines.rows())
            if copied != 1:
                yield f"{table}: COPY gives {copied} rows"
            spying = f"select from {table} where 1 / (case when {row.key}::text = %s then 0 else 1 end) > 0"
            try:
                with connection.transaction():
                    connection.execute(spying.encode(), [str(other.keys[table])])
            except errors.DivisionByZero:
                yield f"{table}: a predicate is evaluated on a row that is not seen"
            if _put(tenants, table, other, " on conflict do nothing"):
                yield f"{table}: INSERT … ON CONFLICT DO NOTHING tells that a stranger's row exists"
            for statement in (f"set local row_security = off; select from {table}", f"truncate {table} cascade"):
                if _allowed(tenants, statement):
                    yield f"{table}: {statement} is allowed"
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


def worker(connection: Connection, product: Product) -> list[str]:
    """What the worker role does not see, and what it changes without an identity. On a superuser's session."""
    problems = []
    connection.execute(f"set role {product.app_role}".encode())
    with tenants_of(connection, product) as two:
        connection.execute(f"set local role {product.worker_role}".encode())
        two.become("")
        for table, row in two.rows.items():
            if not all(two.count(table, tenant.keys[table]) == 1 for tenant in (two.ada, two.grace)):
                problems.append(f"{table}: {product.worker_role} does not see all rows")
            for statement in (f"update {table} set {row.change}", f"delete from {table}"):
                if _changed(two, statement, {}):
                    problems.append(f"{table}: {product.worker_role} may {statement.split()[0]} without an identity")
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


def _select(tenants: Tenants, table: str, owner: Tenant) -> bool:
    return tenants.count(table, owner.keys[table]) == 1


def _update(tenants: Tenants, table: str, owner: Tenant) -> bool:
    row = tenants.rows[table]
    return _changed(tenants, f"update {table} set {row.change} where {row.key} = %(key)s", {"key": owner.keys[table]})


def _delete(tenants: Tenants, table: str, owner: Tenant) -> bool:
    statement = f"delete from {table} where {tenants.rows[table].key} = %(key)s"
    try:
        return _changed(tenants, statement, {"key": owner.keys[table]})
    except psycopg.IntegrityError:  # the policy let it through, something else needs the row
        return True


def _insert(tenants: Tenants, table: str, owner: Tenant) -> bool:
    """A copy of the row: with one's own identity the policy admits it, and only then its key is found taken."""
    try:
        return _put(tenants, table, owner)
    except psycopg.IntegrityError:
        return True


def _put(tenants: Tenants, table: str, owner: Tenant, clause: str = "") -> bool:
    statement = f"insert into {table} select * from jsonb_populate_record(null::{table}, %(copy)s::jsonb){clause}"
    return _allowed(tenants, statement, {"copy": owner.copies[table]})


def _changed(tenants: Tenants, statement: str, values: dict[str, Any]) -> bool:
    """True when a row was reached; undone in either case."""
    reached = False
    try:
        with tenants.connection.transaction(force_rollback=True):
            reached = tenants.connection.execute(statement.encode(), values).rowcount > 0
    except REFUSED:
        return False
    return reached


def _allowed(tenants: Tenants, statement: str, values: dict[str, Any] | None = None) -> bool:
    try:
        with tenants.connection.transaction(force_rollback=True):
            for part in statement.split("; "):
                tenants.connection.execute(part.encode(), values)
    except REFUSED:
        return False
    return True
