"""Statements that are only tried: each under an identity, undone at once, and many of them in one round trip.

A savepoint, a statement and its undoing are three round trips for each combination of table, command and identity; a
block on the server does the same for hundreds of them in the time of one.
"""

import json
from collections.abc import Sequence
from typing import Any

import psycopg

from tests.rls.tenants import Connection

REFUSED = "42501"
"""insufficient_privilege: what a missing right and a policy's WITH CHECK raise."""

Outcome = int | str
"""How many rows the statement reached, or the SQLSTATE it failed with."""

Attempt = tuple[str | None, str]
"""An identity, None as it is after RESET, and a statement, or several parted by `; `."""

# An exception undoes what its block did: the statement itself is undone by one of our own, which brings the count.
_BLOCK = b"""
do $block$
declare
    attempt jsonb;
    reached bigint;
    outcomes jsonb := '[]';
begin
    for attempt in select jsonb_array_elements(current_setting('keel.attempts')::jsonb) loop
        if attempt ->> 0 is null then
            reset app.current_user_id;
        else
            perform set_config('app.current_user_id', attempt ->> 0, true);
        end if;
        begin
            execute attempt ->> 1;
            get diagnostics reached = row_count;
            raise exception using errcode = 'KEEL0', message = reached;
        exception when others then
            outcomes := outcomes || case sqlstate when 'KEEL0' then to_jsonb(sqlerrm::bigint) else to_jsonb(sqlstate) end;
        end;
    end loop;
    perform set_config('keel.outcomes', outcomes::text, true);
end
$block$
"""


class Unexpected(Exception):
    """An attempt failed for another reason than a refusal: the statement and its SQLSTATE."""


def outcomes(connection: Connection, attempts: Sequence[Attempt]) -> list[Outcome]:
    """What becomes of each attempt, in the present transaction, which is left as it was but for the identity."""
    connection.execute("select set_config('keel.attempts', %s, true)", [json.dumps(attempts)])
    connection.execute(_BLOCK)
    row = connection.execute("select current_setting('keel.outcomes')").fetchone()
    assert row
    found: list[Outcome] = json.loads(row[0])
    assert len(found) == len(attempts), f"{len(attempts)} attempts have {len(found)} outcomes"
    return found


def reached(connection: Connection, attempts: Sequence[Attempt], allowed: str = "") -> list[bool]:
    """For each attempt whether it reached a row, and not was refused or found none.

    SQLSTATEs that begin with ``allowed`` count as reached: something after the policies stopped the statement. Raises
    Unexpected for any other error.
    """
    found = outcomes(connection, attempts)
    for (_, statement), outcome in zip(attempts, found, strict=True):
        if isinstance(outcome, str) and outcome != REFUSED and not (allowed and outcome.startswith(allowed)):
            raise Unexpected(f"{statement}: SQLSTATE {outcome}")
    return [outcome > 0 if isinstance(outcome, int) else outcome != REFUSED for outcome in found]


def bound(connection: Connection, statement: str, values: dict[str, Any]) -> str:
    """A statement with its values in it."""
    return psycopg.ClientCursor(connection).mogrify(statement.encode(), values)
