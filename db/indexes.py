"""Indexes that PostgreSQL keeps up to date but never uses, because their concurrent build did not end."""

from typing import Any

import psycopg

# An index that is being built right now is INVALID too. Toast tables have leftovers of REINDEX CONCURRENTLY.
_INVALID = b"""
select format('index %s of table %s is INVALID: its concurrent build was stopped or failed. Queries do not use it, '
              'writes pay for it. ', i.indexrelid::regclass, i.indrelid::regclass)
    || case when c.relname ~ '_cc(new|old)[0-9]*$'
       then format('It is left over from REINDEX CONCURRENTLY; by hand: DROP INDEX CONCURRENTLY %s',
                   i.indexrelid::regclass)
       else format('Migrate again: its revision drops it and builds it anew. When that was done, by hand: '
                   'REINDEX INDEX CONCURRENTLY %s', i.indexrelid::regclass) end
from pg_index i join pg_class c on c.oid = i.indexrelid
where not i.indisvalid and c.relkind = 'i' and c.relpersistence <> 't'
  and not exists (
      select from pg_stat_progress_create_index p
      where p.datname = current_database() and p.index_relid = i.indexrelid)
order by i.indexrelid::regclass::text
"""


def invalid_indexes(connection: "psycopg.Connection[Any]") -> list[str]:
    """The INVALID indexes of the connection's database and how each is repaired; changes nothing.

    Needs no right on the tables: the monitor's session will do. One that is being built just now is not named.
    """
    return [sentence for (sentence,) in connection.execute(_INVALID)]
