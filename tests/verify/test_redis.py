"""Redis: version, memory, persistence, and who gets in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from redis.retry import Retry

from environment.manifest import HostEntry, Manifest, ProductEntry
from environment.names import MONITOR
from environment.urls import redis_login
from ops.hosts.session import Session
from tests.verify import expect
from tests.verify.tunnels import LOOPBACK, Tunnels


def connect(
    session: Session, tunnels: Tunnels, cache: HostEntry, username: str | None = None, password: str | None = None
) -> redis.Redis:
    """A client over TLS that verifies the server by its address."""
    return redis.Redis(
        host=LOOPBACK, port=tunnels.to(cache, session.manifest.ports.redis), username=username, password=password,
        ssl=True, ssl_ca_certs=str(session.ca), ssl_check_hostname=True,
        decode_responses=True, socket_timeout=20, retry=Retry(NoBackoff(), 0),
    )  # fmt: skip


def opened(session: Session, tunnels: Tunnels, cache: HostEntry, account: str) -> redis.Redis:
    """The connection of an account of Keel's."""
    return connect(session, tunnels, cache, account, session.roots.password(redis_login(account)))


@pytest.fixture
def monitor(session: Session, tunnels: Tunnels, cache: HostEntry) -> Iterator[redis.Redis]:
    """The connection that asks how Redis is."""
    with closing(opened(session, tunnels, cache, MONITOR)) as client:
        yield client


@pytest.fixture
def client(session: Session, tunnels: Tunnels, cache: HostEntry, listed: ProductEntry) -> Iterator[redis.Redis]:
    """The connection of a product's application."""
    with closing(opened(session, tunnels, cache, listed.product.name)) as client:
        yield client


def test_ping(client: redis.Redis) -> None:
    """BAC-26: Redis answers PING."""
    assert client.ping() is True


def test_version(monitor: redis.Redis) -> None:
    """RIQ-20: Redis is version 7 or later."""
    version = str(monitor.info("server")["redis_version"])
    assert int(version.split(".")[0]) >= 7, f"Redis is {version}"


def test_settings(cache: HostEntry, monitor: redis.Redis, manifest: Manifest) -> None:
    """BAC-25: append-only file, memory limit and eviction policy are effective."""
    settings = manifest.redis
    wanted = {
        "aof_enabled": 1,
        "maxmemory": settings.maxmemory * 1024 * 1024,
        "maxmemory_policy": settings.maxmemory_policy,
    }
    expect.same(monitor.info("everything"), wanted, cache.name)


def test_stores(client: redis.Redis, listed: ProductEntry) -> None:
    """RIQ-20, BAC-27: a session or a query's result can be kept for a time; the key removed again."""
    key = f"{listed.product.name}:keel-verify:{uuid4()}"
    assert client.set(key, "1", ex=10) is True
    assert client.get(key) == "1"
    assert client.delete(key) == 1


def test_needs_a_password(session: Session, tunnels: Tunnels, cache: HostEntry) -> None:
    """PLAT-25: without an account, and with a wrong password, Redis does nothing."""
    with closing(connect(session, tunnels, cache)) as nobody, pytest.raises(AuthenticationError):
        nobody.ping()
    wrong = connect(session, tunnels, cache, username=MONITOR, password="password")
    with closing(wrong), pytest.raises(AuthenticationError):
        wrong.ping()


def refused(client: redis.Redis, *command: str) -> bool:
    """True if the account may not give a command, whatever would become of it."""
    try:
        client.execute_command(*command)  # type: ignore[no-untyped-call]
    except NoPermissionError:
        return True
    except ResponseError:
        pass
    return False


def test_a_product_reaches_what_is_its_own(client: redis.Redis, listed: ProductEntry, manifest: Manifest) -> None:
    """PLAT-25, W10: the account of a product neither reads nor writes a key of another, nor hears or says a word there."""
    others = [*manifest.products.keys() - {listed.product.name}, "keel", ""]
    key = uuid4().hex
    expect.nothing(
        f"{listed.product.name}: {' '.join(command)}"
        for other in others
        for command in (
            ("GET", f"{other}:{key}"), ("DEL", f"{other}:{key}"), ("PUBLISH", f"{other}:{key}", ""),
            ("SUBSCRIBE", f"{other}:{key}"), ("PSUBSCRIBE", f"{other}:*"), ("PSUBSCRIBE", "*"),
            ("RENAME", f"{listed.product.name}:{key}", f"{other}:{key}"),
        )
        if not refused(client, *command)
    )  # fmt: skip


def test_account_is_no_administrator(client: redis.Redis, listed: ProductEntry) -> None:
    """PLAT-25, W10: the account of a product neither administers nor endangers, runs no program and lists no names. NEVER makes
    an allowed one an error."""
    commands = (
        "ACL LIST", "CONFIG GET NEVER", "CONFIG SET NEVER NEVER", "CLIENT LIST", "CLIENT TRACKING NEVER", "INFO", "MONITOR",
        "KEYS NEVER", "SCAN NEVER", "RANDOMKEY", "DBSIZE", "PUBSUB CHANNELS NEVER", "FLUSHALL NEVER", "FLUSHDB NEVER",
        "SORT NEVER NEVER", "EVAL NEVER NEVER", "FUNCTION LOAD NEVER", "SELECT NEVER",
    )  # fmt: skip
    expect.nothing(f"{listed.product.name}: {command}" for command in commands if not refused(client, *command.split()))


def test_monitor_reads_no_key(monitor: redis.Redis, manifest: Manifest) -> None:
    """PLAT-25, W10: the account that asks how Redis is sees no key, no channel and no setting."""
    own = [f"{name}:{uuid4()}" for name in manifest.products]
    commands = [("CONFIG", "GET", "NEVER"), ("KEYS", "NEVER"), ("PUBLISH", "NEVER", ""), *(("GET", key) for key in own)]
    expect.nothing(f"{MONITOR}: {' '.join(command)}" for command in commands if not refused(monitor, *command))


def test_plaintext_is_refused(session: Session, tunnels: Tunnels, cache: HostEntry) -> None:
    """PLAT-25: Redis speaks TLS only."""
    with socket.create_connection((LOOPBACK, tunnels.to(cache, session.manifest.ports.redis)), timeout=20) as plain:
        plain.sendall(b"PING\r\n")
        assert not plain.recv(16).startswith((b"+", b"-NOAUTH")), "Redis answers in clear"
