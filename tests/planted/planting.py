"""What a product's login can plant in its database, planted; and who evaluated it, by the server's log (W0).

`kinds.yaml` says for every column of pg_catalog that holds code how an owner fills it, or that he cannot. The columns are asked of
the server: a new major's new kind is missing in the file until somebody says how it is planted, or why not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import yaml

from environment.products import Product

HERE = Path(__file__).parent
KINDS = yaml.safe_load((HERE / "kinds.yaml").read_text())
MARK = "planted: "

SLOTS = """
select c.relname::text, a.attname::text from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'r' and a.attnum > 0
  and (a.atttypid in ('pg_node_tree'::regtype, 'regproc'::regtype, 'regprocedure'::regtype) or exists (
         select from pg_get_catalog_foreign_keys() k
         where k.pktable = 'pg_proc'::regclass and k.fktable = c.oid and a.attname::text = any(k.fkcols)))
"""
"""Columns that hold an expression, or a function that PostgreSQL calls."""
CATALOGUES = "select relname::text from pg_class where relnamespace = 'pg_catalog'::regnamespace and relkind = 'r'"
NODES = r"""
select exists (select from pg_catalog.{0} s, regexp_matches(s.{1}::text, ':(?:funcid|opfuncid|aggfnoid) (\d+)', 'g') called
               join pg_proc p on p.oid = called[1]::oid where p.proname ~ '^planted')
"""
FUNCTION = "select exists (select from pg_catalog.{0} s join pg_proc p on p.oid = s.{1} where p.proname ~ '^planted')"
SETTINGS = "select exists (select from pg_db_role_setting s where 'search_path=public, pg_catalog' = any(s.setconfig))"
TARGET = """
select c.relname::text, a.attname::text
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relname = any(%s) and c.relkind = 'r'
  and a.atttypid in ('text'::regtype, 'varchar'::regtype) and not exists (
    select from pg_depend d where d.refobjid = c.oid and d.refobjsubid = a.attnum)
order by not (c.relname || '.' || a.attname) = any(%s), 1, 2 limit 1
"""
TABLE = "public.planted"
"""The planter's own."""
LATER: frozenset[str] = frozenset()
"""What an older major does not have yet."""
REFUSED = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.InvalidFunctionDefinition,
    psycopg.errors.InvalidParameterValue,
    psycopg.errors.WrongObjectType,
)
"""How PostgreSQL says that it does not let somebody, or lets nobody write that."""


class Evaluation(NamedTuple):
    """That something planted ran."""

    at: float
    """Seconds since 1970."""
    kind: str
    planter: str
    database: str
    session: str
    current: str
    power: bool
    """A superuser's: at once, or after becoming himself again."""
    gains: list[str]
    program: str
    backend: str
    query: str

    def __str__(self) -> str:
        got = f", gained {', '.join(self.gains)}" if self.gains else ""
        return (
            f"{self.kind} ran as {self.session} ({self.current}, {self.program}){got}: {' '.join(self.query.split())}"
        )


def slots(connection: psycopg.Connection[Any]) -> set[str]:
    """`pg_trigger.tgfoid` and so on; catalogues without such a column by their name alone."""
    columns = {f"{table}.{column}" for table, column in connection.execute(SLOTS).fetchall()}
    with_code = {column.partition(".")[0] for column in columns}
    return columns | {name for (name,) in connection.execute(CATALOGUES).fetchall()} - with_code


def spoken_of() -> set[str]:
    """What kinds.yaml has something to say of."""
    entries = [*KINDS["planted"], *KINDS["refused"]]
    return {slot for entry in entries for slot in entry["fills"]} | {*KINDS["no_code"]}


def filled(connection: psycopg.Connection[Any], slot: str) -> bool:
    """Whether the column of the catalogue holds something planted."""
    table, _, column = slot.partition(".")
    connection.execute("set local search_path = pg_catalog")
    kind = connection.execute(
        "select atttypid = 'pg_node_tree'::regtype from pg_attribute where attrelid = to_regclass(%s) and attname = %s",
        [f"pg_catalog.{table}", column],
    ).fetchone()
    query = SETTINGS if not column else (NODES if kind == (True,) else FUNCTION).format(table, column)
    return connection.execute(query.encode()).fetchone() == (True,)


def plant(connection: psycopg.Connection[Any], product: Product, planter: str, target: tuple[str, str]) -> None:
    """Everything, as whoever the connection is; ``planter`` is who shall gain, ``target`` a table of the product and a column."""
    connection.execute(written((HERE / "trace.sql").read_text(), product, planter, target))
    for entry in KINDS["planted"]:
        connection.execute(statement(entry, product, planter, target))
    connection.commit()


def target(connection: psycopg.Connection[Any], product: Product) -> tuple[str, str]:
    """A table of the product and a column of it that nothing depends on, of personal data where there is some."""
    personal = [f"{name}.{column}" for name, facts in product.tables.items() for column in facts.pii]
    row = connection.execute(TARGET, [list(product.tables), personal]).fetchone()
    assert row, f"{product.name} has no such column"
    return f"public.{row[0]}", row[1]


def statement(entry: dict[str, Any], product: Product, planter: str, target: tuple[str, str]) -> bytes:
    """The SQL of an entry."""
    text = str(entry["sql"])
    return (HERE / text).read_bytes() if text.endswith(".sql") else written(text, product, planter, target)


def written(text: str, product: Product, planter: str, target: tuple[str, str]) -> bytes:
    """With the names of a product."""
    table, column = target
    names = {"me": planter, "database": product.name, "owner": product.owner_role, "table": table, "column": column}
    return text.format_map(names).encode()


def separately(product: Product, planter: str) -> Iterator[bytes]:
    """Statement by statement, what needs nothing that was planted before."""
    yield written((HERE / "trace.sql").read_text(), product, planter, (TABLE, "said"))
    table = next(iter(product.tables))
    for entry in KINDS["planted"]:
        yield statement(entry, product, planter, (f"public.{table}", "id"))


def accepted(
    connection: psycopg.Connection[Any], statements: Iterable[bytes], *, keep: bool = False
) -> Iterator[bytes]:
    """Those of the statements that the server carries out for a role, each alone; rolled back, unless they are to ``keep``."""
    connection.execute("set default_transaction_read_only = off")  # a login's own to set
    connection.commit()
    for each in statements:
        with suppress(*REFUSED, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction):
            connection.execute(each)
            if keep:
                connection.commit()
            yield each
        connection.rollback()


def evaluations(log: str) -> list[Evaluation]:
    """What ran, by the lines of the server's log."""
    found = (line.partition(f"LOG:  {MARK}")[2] for line in log.splitlines())
    return [Evaluation(**json.loads(text)) for text in found if text]


ATTRIBUTES = """
select rolname::text, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolinherit, rolconfig::text from pg_roles
"""
MEMBERSHIPS = "select pg_get_userbyid(roleid)::text, pg_get_userbyid(member)::text, admin_option from pg_auth_members"


def powers(connection: psycopg.Connection[Any]) -> set[tuple[Any, ...]]:
    """Attributes and memberships of everybody."""
    return {*connection.execute(ATTRIBUTES).fetchall(), *connection.execute(MEMBERSHIPS).fetchall()}
