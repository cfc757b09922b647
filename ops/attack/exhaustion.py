"""W8, W9: no client takes from the others what they need, and none guesses passwords fast."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import psycopg
from redis.exceptions import RedisError

from environment.products import Product
from environment.types import Group, Provider
from keel_host.programs.watch_logins import ALLOWED
from ops.attack.attacker import Attacker
from ops.attack.attempts import Tried, attempt, must_work
from ops.attack.cache import client_of

NOTICED = 6.0
"""Seconds of guessing after which it must be slow: the watch asks a source again after five that did not answer (watch-logins)."""
GUESSES = 8
PATIENT = 0.6
"""Seconds that a wrong guess must cost then, on average: one a second, but for two or three each 20 s, when the firewall has forgotten
the address."""
LATE = 20
"""Seconds after its limit by which a transaction must have ended."""
SESSIONS = 60
"""Direct sessions that are opened at most: more than any login's share, fewer than all."""


def _one(attacker: Attacker) -> Product:
    return next(iter(attacker.manifest.products.values())).product


@attempt("W8")
def guesses_passwords(attacker: Attacker) -> Iterator[Tried]:
    """An address that guesses gets one wrong guess a second, and is in with the right password all the same."""
    product, ports = _one(attacker), attacker.manifest.ports
    doors: dict[int, Callable[..., str]] = {
        ports.pgbouncer: partial(_refused, attacker, product, "pgbouncer"),
        ports.redis: partial(_refused_by_redis, attacker, product),
        ports.primary: partial(_refused, attacker, product, "primary"),
    }
    for port, refused in doors.items():
        subject = f"{product.app_role} at port {port}"
        if why := refused():
            yield from must_work(
                f"{subject} with its password", attacker.manifest.identity.provider is not Provider.DOCKER, why
            )
            yield Tried(subject, False, f"no client comes from where Keel runs: {why}")
            continue
        began, guesses = time.monotonic(), 0
        while guesses <= ALLOWED or time.monotonic() - began < NOTICED:
            refused("keel-attack")
            guesses += 1
        began = time.monotonic()
        for _ in range(GUESSES):
            refused("keel-attack")
        rate = GUESSES / (time.monotonic() - began)
        yield Tried(subject, rate > 1 / PATIENT, f"{rate:.1f} guesses a second")
        why = refused()
        yield from must_work(f"{subject} with its password, after the wrong ones", not why, why)


def _refused(attacker: Attacker, product: Product, service: str, password: str = "") -> str:
    """Why it is not let in, coming from where Keel runs as clients come; "" where it is."""
    address, port = _endpoint(attacker, service, Group.EDGE)
    secret = password or attacker.session.roots.password(product.app_role)
    try:
        psycopg.connect(
            host=address, port=port, dbname=product.name, user=product.app_role, password=secret, sslmode="require", connect_timeout=10,
        ).close()  # fmt: skip
    except psycopg.Error as error:
        return " ".join(str(error).split())[-200:]
    return ""


def _refused_by_redis(attacker: Attacker, product: Product, password: str = "") -> str:
    client = client_of(attacker, product.name, password, _endpoint(attacker, "redis", Group.REDIS))
    try:
        client.ping()
    except RedisError as error:
        return str(error)
    finally:
        client.close()
    return ""


def _endpoint(attacker: Attacker, service: str, group: Group) -> tuple[str, int]:
    """Where clients find a service."""
    endpoints = attacker.manifest.endpoints
    if published := getattr(endpoints, service):
        return endpoints.address, published
    return str(attacker.carrying(group)[0].address), getattr(attacker.manifest.ports, service)


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
