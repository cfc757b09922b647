"""W10: a product's account at Redis reaches its own keys and no more."""

from __future__ import annotations

from collections.abc import Iterator

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry

from environment.types import Group
from environment.urls import redis_login
from ops.attack.attacker import LOOPBACK, Attacker
from ops.attack.attempts import Tried, attempt, must_work

DANGEROUS = (
    ("KEYS", "*"),
    ("CONFIG", "GET", "maxmemory"),
    ("FLUSHDB", "wrong on purpose"),
    ("FLUSHALL", "wrong on purpose"),
    ("EVAL", "return 1", "0"),
    ("ACL", "LIST"),
    ("CLIENT", "LIST"),
    ("REPLICAOF", "NO", "ONE"),
    ("MONITOR",),
)
"""What would change something has arguments that no server accepts, or leaves a primary as it is."""


def client_of(
    attacker: Attacker, account: str | None, password: str = "", at: tuple[str, int] | None = None
) -> redis.Redis:
    """A client of Redis with an account's right password, unless another is given; without an account where that is None.
    ``at``: address and port, if not the server's own by way of SSH."""
    host = attacker.carrying(Group.REDIS)[0]
    address, port = at or (LOOPBACK, attacker.way(host, attacker.manifest.ports.redis))
    return redis.Redis(
        host=address, port=port, username=account,
        password=password or (attacker.session.roots.password(redis_login(account)) if account else None),
        ssl=True, ssl_ca_certs=str(attacker.session.ca), ssl_check_hostname=True, socket_timeout=20, retry=Retry(NoBackoff(), 0),
    )  # fmt: skip


def _refusal(client: redis.Redis, *command: str) -> str:
    """Why the account may not; "" where it may, well or not."""
    try:
        client.execute_command(*command)  # type: ignore[no-untyped-call]
    except (NoPermissionError, AuthenticationError) as error:
        return str(error)
    except RedisError as error:
        return str(error) if "Authentication required" in str(error) else ""
    return ""


@attempt("W10")
def another_products_keys(attacker: Attacker) -> Iterator[Tried]:
    """A product's account reads, writes and hears nothing of another product, and who has no account nothing at all."""
    names = list(attacker.manifest.products)
    for name in names:
        client = client_of(attacker, name)
        why = _refusal(client, "GET", f"{name}:keel-attack")
        yield from must_work(f"{name} reads its own keys", not why, why)
        for other in (each for each in names if each != name):
            for command in (
                ("GET", f"{other}:keel-attack"),
                ("DEL", f"{other}:keel-attack"),
                ("PUBLISH", f"{other}:keel-attack", "1"),
            ):
                why = _refusal(client, *command)
                yield Tried(f"{name}: {' '.join(command)}", not why, why)
        client.close()
    stranger = client_of(attacker, None)
    for word in ("PING", "DBSIZE", "RANDOMKEY"):
        why = _refusal(stranger, word)
        yield Tried(f"without an account: {word}", not why, why)
    stranger.close()


@attempt("W10")
def commands_redis(attacker: Attacker) -> Iterator[Tried]:
    """A product's account commands the server nothing: no list of keys, no settings, no scripts, no other clients."""
    for name in attacker.manifest.products:
        client = client_of(attacker, name)
        for command in DANGEROUS:
            why = _refusal(client, *command)
            yield Tried(f"{name}: {' '.join(command[:2])}", not why, why)
        client.close()
