"""W8, W9: no client takes from the others what they need, and none guesses passwords fast."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg

from environment.products import Product
from ops.attack.attacker import Attacker
from ops.attack.attempts import Tried, attempt

GUESSES = 6
PATIENT = 1.0
"""Seconds that a wrong guess must cost on average."""
LATE = 20
"""Seconds after its limit by which a transaction must have ended."""
SESSIONS = 60
"""Direct sessions that are opened at most: more than any login's share, fewer than all."""


def _one(attacker: Attacker) -> Product:
    return next(iter(attacker.manifest.products.values())).product


@attempt("W8")
def guesses_passwords(attacker: Attacker) -> Iterator[Tried]:
    """One address gets at most one wrong guess a second, at PostgreSQL and at PgBouncer."""
    product = _one(attacker)
    for port in (attacker.manifest.ports.primary, attacker.manifest.ports.pgbouncer):
        began = time.monotonic()
        for number in range(GUESSES):
            attacker.refused(product.app_role, product.name, port, password=f"keel-attack-{number}")
        rate = GUESSES / (time.monotonic() - began)
        yield Tried(f"{product.app_role} at port {port}", rate > 1 / PATIENT, f"{rate:.1f} guesses a second")


@attempt("W9")
def takes_all_connections(attacker: Attacker) -> Iterator[Tried]:
    """A product's login has a share of the server's connections and no more."""
    product = _one(attacker)
    said = ""
    with ExitStack() as stack:
        for number in range(SESSIONS):
            try:
                stack.enter_context(attacker.login(product.app_role, product.name, attacker.manifest.ports.primary))
            except psycopg.OperationalError as error:
                said = f"refused after {number}: {' '.join(str(error).split())[-120:]}"
                break
    shared = "too many connections for" in said  # a role, or a database
    yield Tried(f"{product.app_role} past the pooler", not shared, said or f"{SESSIONS} sessions at once")


@attempt("W9")
def lifts_its_limits(attacker: Attacker) -> Iterator[Tried]:
    """An application has a limit of temporary files, and cannot lift it."""
    for product in (entry.product for entry in attacker.manifest.products.values()):
        with attacker.login(product.app_role, product.name, attacker.manifest.ports.primary) as connection:
            row = connection.execute("select current_setting('temp_file_limit')").fetchone()
            yield Tried(f"{product.app_role} has no limit", row == ("-1",), f"temp_file_limit is {row and row[0]}")
            try:
                connection.execute("set temp_file_limit = -1")
                yield Tried(f"{product.app_role} lifts it", True)
            except psycopg.Error as error:
                yield Tried(f"{product.app_role} lifts it", False, str(error))


@attempt("W9", waits=True)
def holds_a_transaction(attacker: Attacker) -> Iterator[Tried]:
    """A transaction that an application forgets ends at its limit, whatever the application has set for itself."""
    ports, held = attacker.manifest.ports, []
    for entry in attacker.manifest.products.values():
        product, limit = entry.product, entry.limits.idle_transaction
        for port in (ports.primary, ports.pgbouncer):
            connection = attacker.login(product.app_role, product.name, port)
            connection.autocommit = False
            connection.execute("set idle_in_transaction_session_timeout = 0")
            held.append((f"{product.app_role} at port {port}", connection, limit, time.monotonic()))
    for subject, connection, limit, began in held:
        left = max(0.0, began + limit + LATE - time.monotonic())
        ended = bool(select.select([connection.fileno()], [], [], left)[0])  # nothing is said but that it ends
        yield Tried(subject, not ended, f"{'ended' if ended else 'open'} after {time.monotonic() - began:.0f} s")
        connection.close()
