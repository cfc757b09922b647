"""End what a product's program may not hold so long, whatever it has set itself: on this host's server, once (W9).

end-sessions

It connects as a login that may end sessions and see their ages, and nothing else; the server's superusers are out of its
reach. Of what it ends it reports the login, the database and the age, never a statement: that may hold personal data.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

from keel_host.config import Member, read
from keel_host.processes import Failed

ANSWERS_WITHIN = 20
"""Seconds; the next look follows anyway."""
NO_SERVER = 2
"""psql's exit status where there is no server to speak to."""

QUESTION = r"""
\set ON_ERROR_STOP on
set statement_timeout = '10s';
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
        for line in end(read(Member)):
            # The level in front is systemd's: the unit keeps what is a notice or worse.
            print(f"<5>{line}", flush=True)
    except Failed as error:
        print(f"<4>{error}", file=sys.stderr)
        return 1
    return 0


def end(host: Member) -> list[str]:
    """A line for each session that was ended. Raises Failed where the server does not do as it is asked."""
    if not host.bounds:
        return []
    bounds = json.dumps([{"login": login, **asdict(bound)} for login, bound in sorted(host.bounds.items())])
    # The settings of the session before any statement, so that nothing but the catalogue is ever looked into.
    options = "options=-csearch_path=pg_catalog"
    command = (
        "psql", "-XAtq", "-v", f"bounds={bounds}", "-f", "-",
        f"host={host.sockets} dbname=postgres user={host.ends_sessions} connect_timeout=5 {options}",
    )  # fmt: skip
    try:
        done = subprocess.run(
            command, input=QUESTION, capture_output=True, text=True, timeout=ANSWERS_WITHIN, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"the server did not answer within {ANSWERS_WITHIN} s") from None
    if done.returncode == NO_SERVER:
        return []
    if done.returncode:
        raise Failed(f"psql: {done.stderr.strip()[-800:]}")
    return done.stdout.splitlines()
