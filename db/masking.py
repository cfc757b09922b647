"""Personal data made unrecognisable in a copy of a product's database, by its classification (JEEX-35, ADA-22).

`db/<name>/product.yaml` says which columns hold personal data. In a copy each of their values becomes another one of
the same type and form: NULL stays NULL, equal values stay equal, also between tables and products, addresses stay
addresses. What has no classification is not copied: such tables are emptied, such columns refuse the copy.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from environment.errors import KeelError
from environment.products import Product
from environment.report import Report
from keel_host import catalogue

_FUNCTIONS = Path(__file__).with_suffix(".sql").read_bytes()
_UNLIMITED = 1_000_000_000
"""Letters; PostgreSQL holds no longer text."""

_COLUMNS = b"""
select c.relname, a.attname, b.typname, format_type(a.atttypid, a.atttypmod),
       case when b.typname in ('varchar', 'bpchar') then nullif(case t.typtype when 'd' then t.typtypmod else a.atttypmod end, -1) - 4 end,
       a.attgenerated <> '',
       array(select enumlabel::text from pg_enum where enumtypid = b.oid order by enumsortorder),
       array(select pg_get_constraintdef(k.oid) from pg_constraint k
             where k.conrelid = c.oid and k.contype = 'c' and k.conkey = array[a.attnum])
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid join pg_type b on b.oid = case t.typtype when 'd' then t.typbasetype else t.oid end
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
order by c.relname, a.attnum
"""

_TABLES = b"""
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|information_schema$)'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 1, 2
"""
_KEPT = (("alembic", "alembic_version"), ("alembic", "repeatable"))
"""Apart from the product's tables: how far the copy has come, and which functions, policies and grants it has."""


class NotMaskable(KeelError):
    """A database of which no masked copy can be made: every reason, nothing was changed, what to do."""


class MaskingFailed(KeelError):
    """A constraint that masked values do not keep: table, constraint, what to do. The row itself is never shown."""


class Column(NamedTuple):
    """A column as the catalogue has it."""

    table: str
    name: str
    type: str
    """Its type's name, a domain's base type."""
    declared: str
    """As in its definition: varchar(255)."""
    most: int | None
    """Letters it takes, None for no limit."""
    generated: bool
    """The server computes it from other columns, also after these are masked."""
    labels: tuple[str, ...] = ()
    """Of an enum."""
    checks: tuple[str, ...] = ()
    """CHECK constraints on this column alone."""


_MASKS = {
    **dict.fromkeys(("text", "varchar", "bpchar", "citext"), "pg_temp.masked_text({0}::text, {1})"),
    # Fewer digits than the type has, or a number could leave its range.
    "int2": "pg_temp.masked_digits({0}::text, 4)",
    "int4": "pg_temp.masked_digits({0}::text, 9)",
    "int8": "pg_temp.masked_digits({0}::text, 18)",
    "numeric": "pg_temp.masked_digits({0}::text, 1000)",
    "uuid": "left(pg_temp.keyed({0}::text), 32)",
    "bytea": "decode(pg_temp.keyed(encode({0}, 'hex')), 'hex')",
    "json": "pg_temp.masked_json({0}::jsonb)",
    "jsonb": "pg_temp.masked_json({0})",
    **dict.fromkeys(("timestamp", "timestamptz", "date"), "{0} - pg_temp.masked_moment({0}::text)"),
}
"""Type → what a value becomes; {0} is the column, {1} the number of letters it takes."""
_PASSWORD = "pg_temp.masked_password({0}::text, {1})"  # noqa: S105
"""Whatever column has the word in its name."""


def mask(
    connect: Callable[[str], "psycopg.Connection[Any]"], product: Product, key: str, report: Report
) -> dict[str, int]:
    """Mask the copy `product.name` in one transaction, as a superuser; table → rows with personal data.

    `key`: random, made for this copy and kept nowhere. Never call it for a database that is in use.
    Raises NotMaskable or MaskingFailed.
    """
    with connect(product.name) as connection:
        columns = read(connection)
        updates = statements(product, columns)
        _check_known(product, columns)
        connection.execute(b"select set_config('keel.masking_key', %s, false)", [key])
        connection.execute(_FUNCTIONS)
        # Neither triggers nor row-level security: updated_at stays, nothing is archived, nothing protected.
        connection.execute(b"set local session_replication_role = replica")
        try:
            _empty(connection, product, report)
            done = {}
            for table, statement in updates.items():
                report(f"{product.name}: {table} is masked")
                done[table] = connection.execute(statement).rowcount
        except psycopg.Error as error:
            # Its detail would show the row.
            where = " ".join(filter(None, (error.diag.table_name, error.diag.constraint_name)))
            raise MaskingFailed(
                f"{product.name}: a masked value is not allowed: {error.diag.message_primary} {where}".rstrip(),
                "Nothing left the backup host",
                "Give the type or constraint its mask in db/masking.py",
            ) from None
        return done


def dump_options(major: int) -> tuple[str, ...]:
    """What pg_dump of this server major leaves out of a masked copy: large objects, which belong to no table, so that nothing
    has classified them, and the planner's statistics, which hold frequent values as they were."""
    return ("-B", "--no-statistics") if major >= 18 else ("-B",)


def read(connection: "psycopg.Connection[Any]") -> list[Column]:
    """Every column of the tables in `public`."""
    found = connection.execute(_COLUMNS).fetchall()
    return [Column._make((*facts, tuple(labels), tuple(checks))) for *facts, labels, checks in found]


def statements(product: Product, columns: Sequence[Column]) -> dict[str, sql.Composed]:
    """Table → the statement that masks its personal columns. Raises NotMaskable with every column that has no mask."""
    personal: dict[str, list[Column]] = {}
    for column in columns:
        if _is_personal(product, column) and not column.generated:
            personal.setdefault(column.table, []).append(column)
    problems = [
        f"{table}.{column.name}: {problem}"
        for table, found in personal.items()
        for column in found
        if (problem := _problem(column))
    ]
    if problems:
        raise NotMaskable(
            _message(product, problems, "Give the type its mask in db/masking.py, or the column another type")
        )
    return {table: _update(table, found) for table, found in personal.items()}


def _is_personal(product: Product, column: Column) -> bool:
    """By its name, or the truncated one that it has in older revisions (RIQ-23)."""
    facts = product.tables.get(column.table)
    name = product.renamed.get(column.table, {}).get(column.name, column.name)
    return facts is not None and name in facts.pii


def _update(table: str, columns: Sequence[Column]) -> sql.Composed:
    names = [sql.Identifier(column.name) for column in columns]
    values = [
        sql.SQL("{} = ({})::{}").format(name, _masked(column, name), sql.SQL(column.declared))
        for name, column in zip(names, columns, strict=True)
    ]
    return sql.SQL("update {} set {} where num_nonnulls({}) > 0").format(
        sql.Identifier("public", table), sql.SQL(", ").join(values), sql.SQL(", ").join(names)
    )


def _masked(column: Column, name: sql.Composable) -> sql.Composable:
    if allowed := _allowed(column):
        return sql.SQL("pg_temp.masked_choice({}::text, {}::text[])").format(name, sql.Literal(list(allowed)))
    pattern = _PASSWORD if "password" in column.name else _MASKS[column.type]
    return sql.SQL(pattern).format(name, sql.Literal(column.most or _UNLIMITED))


def _allowed(column: Column) -> tuple[str, ...]:
    """The values of an enum, or of a CHECK that lists them; empty where it is free."""
    if column.labels:
        return column.labels
    lists = [check for check in column.checks if "= ANY" in check]
    return tuple(text.replace("''", "'") for text in re.findall(r"'((?:[^']|'')*)'::", lists[0])) if lists else ()


def _problem(column: Column) -> str:
    if allowed := _allowed(column):
        return "" if len(allowed) > 1 else f"there is no other value than {allowed[0]!r}"
    return "" if column.type in _MASKS else f"nothing is known that a {column.declared} could become"


def _check_known(product: Product, columns: Sequence[Column]) -> None:
    """Raise NotMaskable for columns that this checkout does not know: no one has classified them."""
    known = {*catalogue.recorded(product.catalogue_file)}
    problems = [
        f"{column.table}.{column.name} is not in this checkout, so it has no classification"
        for column in columns
        if column.table in product.tables
        and f"column {column.table}.{column.name}" not in known
        and column.name not in product.renamed.get(column.table, {})
    ]
    if problems:
        raise NotMaskable(
            _message(product, problems, "Use the checkout that it belongs to, or drop what the model does not declare")
        )


def _empty(connection: "psycopg.Connection[Any]", product: Product, report: Report) -> None:
    """Tables without a classification: originals that revisions keep aside, restored tables, and an operator's own."""
    names = [
        (schema, name)
        for schema, name in connection.execute(_TABLES).fetchall()
        if not (schema == "public" and name in product.tables) and (schema, name) not in _KEPT
    ]
    if names:
        report(f"{product.name}: not classified and left empty: {', '.join(map('.'.join, names))}")
        tables = sql.SQL(", ").join(sql.Identifier(*name) for name in names)
        connection.execute(sql.SQL("truncate {}").format(tables))


def _message(product: Product, problems: Sequence[str], then: str) -> str:
    lines = "".join(f"\n- {problem}" for problem in problems)
    return f"no masked copy of {product.name} can be made:{lines}\nNothing was changed. {then}"
