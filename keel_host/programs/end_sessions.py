"""End what a product's program may not hold so long, whatever it has set itself, and put passwords back: on this host's server,
once (W9, W15).

end-sessions

It connects as a login that may end sessions, see their ages and have passwords put back (db/passwords.py), and nothing else; the
server's superusers are out of its reach. Of what it ends it reports the login, the database and the age, never a statement: that may hold personal data.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Container, Iterator
from contextlib import suppress

from keel_host.backends import backends
from keel_host.config import Member, read
from keel_host.processes import Failed
from keel_host.server import NoRoom, lines

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
select 'select keel.put_back_passwords()' from pg_proc p join pg_namespace n on n.oid = pronamespace
where nspname = 'keel' and proname = 'put_back_passwords' and has_schema_privilege(n.oid, 'usage') and not pg_is_in_recovery()
\\gexec
"""


def make_room(logins: Container[str]) -> Iterator[str]:
    """End the sessions of products' programs that are in a transaction, by their processes: locks are theirs, and no one can log in
    to ask whose."""
    for backend in backends():
        if backend.login in logins and backend.doing != "idle":
            with suppress(ProcessLookupError):
                os.kill(backend.pid, signal.SIGTERM)
                yield f"ended {backend.login} on {backend.database}: the table of locks is full, and no one could log in"


def main(_arguments: list[str]) -> int:
    """0, also where no server runs. It takes no arguments."""
    try:
        host = read(Member)
        try:
            done = lines(host, QUESTION)
        except NoRoom:
            done = list(make_room(host.bounds))
        for line in done:
            print(line, flush=True)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0
