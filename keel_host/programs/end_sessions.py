"""End what a product's program may not hold so long, whatever it has set itself: on this host's server, once (W9).

end-sessions

It connects as a login that may end sessions and see their ages, and nothing else; the server's superusers are out of its
reach. Of what it ends it reports the login, the database and the age, never a statement: that may hold personal data.
"""

from __future__ import annotations

import sys

from keel_host.config import Member, read
from keel_host.processes import Failed
from keel_host.server import lines

QUESTION = """
with open_transactions as (
    select pid, usename, datname, client_addr, state like 'idle in transaction%' as idle, bound.*,
           extract(epoch from clock_timestamp() - xact_start)::int as age,
           extract(epoch from clock_timestamp() - state_change)::int as still
    from pg_stat_activity
    join json_to_recordset(:'bounds') as bound (login text, idle_transaction int, transaction int) on login = usename
    where xact_start is not null
-- Materialized: next to a condition, the planner would call pg_terminate_backend first, which it takes for the cheaper of both.
), too_long as materialized (
    select * from open_transactions where age >= transaction or (idle and still >= idle_transaction)
), ended as materialized (select *, pg_terminate_backend(pid) as done from too_long)
select format('ended %s on %s from %s: %s', usename, datname, coalesce(host(client_addr), 'this host'),
              case when age >= transaction then format('its transaction took %s s, the limit is %s s', age, transaction)
                   else format('its transaction was idle for %s s, the limit is %s s', still, idle_transaction) end)
from ended where done;
"""


def main(_arguments: list[str]) -> int:
    """0, also where no server runs. It takes no arguments."""
    try:
        for line in lines(read(Member), QUESTION):
            print(line, flush=True)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0
