"""Tables, constraints and indexes of a schema as PostgreSQL prints them, to compare two schemas exactly.

Alembic's own comparison leaves out CHECK constraints, predicates of partial indexes and validity (PLAT-14).
"""

from sqlalchemy import Connection, MetaData, text

from keel_host.catalogue import canonical

_LINES = text("""
select format('column %s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
              case when a.attnotnull then ' not null' else '' end,
              coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), ''))
from pg_class c join pg_attribute a on a.attrelid = c.oid
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = cast(:schema as regnamespace) and c.relkind in ('r', 'p')
  and a.attnum > 0 and not a.attisdropped
union all
select format('constraint %s on %s: %s%s', conname, c.relname, pg_get_constraintdef(k.oid),
              case when not convalidated then ' (not valid)'
                   when exists (select from pg_trigger t where t.tgconstraint = k.oid and t.tgenabled <> 'O')
                   then ' (its trigger is disabled)' else '' end)
from pg_constraint k join pg_class c on c.oid = k.conrelid
where c.relnamespace = cast(:schema as regnamespace) and contype <> 'n'
union all
select format('index %s: %s%s', c.relname, pg_get_indexdef(c.oid),
              case when indisvalid then '' else ' (not valid)' end)
from pg_index i join pg_class c on c.oid = i.indexrelid
where c.relnamespace = cast(:schema as regnamespace)
order by 1
""")
# Not-null constraints (contype n) exist only from PostgreSQL 18 on; the column's line has the fact.


def describe(connection: Connection, schema: str) -> list[str]:
    """A line for each column, constraint and index of a schema, without the schema's name."""
    # public behind it: before PostgreSQL 18 that is where uuidv7() is, which is printed as it is found.
    connection.execute(text(f'set local search_path = "{schema}", public'))
    printed = "pg_temp" if schema.startswith("pg_temp") else schema
    return [canonical(line.replace(f" {printed}.", " ")) for line in connection.scalars(_LINES, {"schema": schema})]


def describe_models(connection: Connection, metadata: MetaData) -> list[str]:
    """The same for models, created as temporary tables, which no other session sees; roll back afterwards."""
    connection.execute(text("set local search_path = pg_temp, public"))
    metadata.create_all(connection, checkfirst=False)
    schema = connection.scalar(text("select pg_my_temp_schema()::regnamespace::text"))
    return describe(connection, str(schema))
