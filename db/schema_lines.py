"""Tables, columns, constraints, rules and indexes of a schema as PostgreSQL prints them, to compare two schemas exactly.

Alembic's own comparison leaves out CHECK constraints, predicates of partial indexes and validity (PLAT-14).
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, MetaData, text

from db.difference import Difference
from keel_host.catalogue import canonical

_LINES = text("""
select format('column %s.%s', c.relname, a.attname) as subject,
       concat(' ', format_type(a.atttypid, a.atttypmod), case when a.attnotnull then ' not null' end,
              ' default ' || pg_get_expr(d.adbin, d.adrelid),
              case when a.attidentity <> '' then concat(', identity ', a.attidentity) end,
              case when a.attgenerated <> '' then ', generated' end,
              case when a.attstorage <> t.typstorage then concat(', storage ', a.attstorage) end,
              case when a.attcompression <> '' then concat(', compression ', a.attcompression) end,
              concat(', statistics ' || nullif(a.attstattarget, -1)::text),
              (select ', ' || string_agg(o, ', ') from unnest(a.attoptions) o where o !~ '^pg_')) as state,
       format('ALTER TABLE public.%I ADD COLUMN %I %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
              case when a.attnotnull then ' NOT NULL' end, ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)) as making,
       format('ALTER TABLE public.%I DROP COLUMN %I', c.relname, a.attname) as dropping,
       format('ALTER TABLE public.%1$I ALTER %2$I %3$s NOT NULL, ALTER %2$I %4$s, ALTER %2$I SET STORAGE %5$s,'
              ' ALTER %2$I SET STATISTICS -1, ALTER %2$I RESET (n_distinct, n_distinct_inherited)', c.relname, a.attname,
              case when a.attnotnull then 'SET' else 'DROP' end,
              coalesce('SET DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), 'DROP DEFAULT'),
              case t.typstorage when 'p' then 'PLAIN' when 'e' then 'EXTERNAL' when 'm' then 'MAIN' else 'EXTENDED' end) as setting,
       '' as resetting,
       format('ALTER TABLE public.%I ALTER %I TYPE %s; ', c.relname, a.attname, format_type(a.atttypid, a.atttypmod)) as retyping
from pg_class c join pg_attribute a on a.attrelid = c.oid join pg_type t on t.oid = a.atttypid
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = cast(:schema as regnamespace) and c.relkind in ('r', 'p')
  and a.attnum > 0 and not a.attisdropped
union all
select format('table %s', c.relname),
       concat(':', ' ' || array_to_string(c.reloptions, ', '), case when c.relpersistence = 'u' then ' not logged' end,
              case when c.relreplident <> 'd' then concat(' replica identity ', c.relreplident) end,
              (select ' inherits ' || string_agg(inhparent::regclass::text, ', ' order by inhseqno)
               from pg_inherits where inhrelid = c.oid)),
       '', format('DROP TABLE public.%I', c.relname), '',
       format('ALTER TABLE public.%I REPLICA IDENTITY DEFAULT%s%s', c.relname,
              case when c.relpersistence = 'u' then ', SET LOGGED' end,
              (select format(', RESET (%s)', string_agg(quote_ident(option_name), ', ')) from pg_options_to_table(c.reloptions)
               having count(*) > 0)), ''
from pg_class c where c.relnamespace = cast(:schema as regnamespace) and c.relkind in ('r', 'p')
union all
select format('rule %s on %s', rulename, c.relname), ': ' || pg_get_ruledef(r.oid),
       pg_get_ruledef(r.oid), format('DROP RULE %I ON public.%I', rulename, c.relname), '', '', ''
from pg_rewrite r join pg_class c on c.oid = r.ev_class
where c.relnamespace = cast(:schema as regnamespace) and c.relkind in ('r', 'p')
union all
select format('constraint %s on %s', conname, c.relname),
       concat(': ', pg_get_constraintdef(k.oid), case when not convalidated then ' (not valid)'
              when exists (select from pg_trigger t where t.tgconstraint = k.oid and t.tgenabled <> 'O')
              then ' (its trigger is disabled)' end),
       format('ALTER TABLE public.%I ADD CONSTRAINT %I %s', c.relname, conname, pg_get_constraintdef(k.oid)),
       format('ALTER TABLE public.%I DROP CONSTRAINT %I', c.relname, conname), '', '', ''
from pg_constraint k join pg_class c on c.oid = k.conrelid
where c.relnamespace = cast(:schema as regnamespace) and contype not in ('n', 't')
union all
select format('index %s', c.relname),
       concat(': ', pg_get_indexdef(c.oid), case when not indisvalid then ' (not valid)' end,
              case when indisclustered then ', clustered' end, case when indisreplident then ', replica identity' end),
       pg_get_indexdef(c.oid), format('DROP INDEX public.%I', c.relname), '', '', ''
from pg_index i join pg_class c on c.oid = i.indexrelid
where c.relnamespace = cast(:schema as regnamespace)
order by 1, 2
""")
# An option whose name begins with pg_ is the server's own note of a column: PostgreSQL 15 writes one, with another value each time.
# Not-null constraints (contype n) exist only from PostgreSQL 18 on; the column's line has the fact.


class Line(NamedTuple):
    """A row of the query: what it is about, how it is, and the SQL that makes it, drops it, makes one that is there like it,
    takes away what is not declared of it, or gives it the type."""

    subject: str
    state: str
    making: str
    dropping: str
    setting: str
    resetting: str
    retyping: str

    def __str__(self) -> str:
        return f"{self.subject}{self.state}"


def describe(connection: Connection, schema: str) -> list[Line]:
    """A line for each table, column, constraint, rule and index of a schema, without the schema's name."""
    # public behind it: before PostgreSQL 18 that is where uuidv7() is, which is printed as it is found.
    connection.execute(text(f'set local search_path = "{schema}", public'))
    printed = "pg_temp" if schema.startswith("pg_temp") else schema
    rows = connection.execute(_LINES, {"schema": schema})
    return [
        Line(subject, *(canonical(part.replace(f" {printed}.", " ")) for part in (state, making)), *statements)
        for subject, state, making, *statements in rows
    ]


def describe_models(connection: Connection, metadata: MetaData) -> list[Line]:
    """The same for models, created as temporary tables, which no other session sees; roll back afterwards."""
    connection.execute(text("set local search_path = pg_temp, public"))
    metadata.create_all(connection, checkfirst=False)
    schema = connection.scalar(text("select pg_my_temp_schema()::regnamespace::text"))
    return describe(connection, str(schema))


_PATH = "SET search_path = public; "
"""What is printed names nothing by its schema; a superuser's own path is pg_catalog."""


def compare(live: Sequence[Line], wanted: Sequence[Line]) -> list[Difference]:
    """What only one of two schemas has, with the SQL that undoes it. Where both have the subject, one of the two lines says how."""
    there, declared = ({line.subject: line for line in lines} for lines in (live, wanted))
    has, should = set(map(str, live)), set(map(str, wanted))
    found = []
    for line in wanted:
        if str(line) not in has:
            other = there.get(line.subject)
            if other and other.resetting:
                continue
            undo = line.making if other is None else _alike(other, line)
            found.append(Difference(f"missing: {line}", f"{_PATH}{undo}" if undo else ""))
    for line in live:
        if str(line) not in should:
            undo = line.resetting if line.subject in declared else line.dropping
            found.append(Difference(f"not in the models: {line}", undo))
    return found


def _alike(found: Line, wanted: Line) -> str:
    """SQL that makes what is found as it is wanted: changed where that can be, otherwise made again."""
    if wanted.setting:
        return (wanted.retyping if found.retyping != wanted.retyping else "") + wanted.setting
    return f"{found.dropping}; {wanted.making}" if wanted.making else ""
