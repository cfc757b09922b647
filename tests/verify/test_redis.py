"""Redis: version, memory, persistence, and who gets in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.retry import Retry

from environment.manifest import HostEntry, Manifest
from environment.urls import REDIS_ACCOUNT
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
        decode_responses=True, socket_timeout=5, retry=Retry(NoBackoff(), 0),
    )  # fmt: skip


@pytest.fixture
def client(session: Session, tunnels: Tunnels, cache: HostEntry) -> Iterator[redis.Redis]:
    """The application's connection."""
    password = session.roots.password(f"redis/{REDIS_ACCOUNT}")
    with closing(connect(session, tunnels, cache, username=REDIS_ACCOUNT, password=password)) as opened:
        yield opened


def test_ping(client: redis.Redis) -> None:
    """BAC-26: Redis answers PING."""
    assert client.ping() is True


def test_version(client: redis.Redis) -> None:
    """RIQ-20: Redis is version 7 or later."""
    version = str(client.info("server")["redis_version"])
    assert int(version.split(".")[0]) >= 7, f"Redis is {version}"


def test_settings(cache: HostEntry, client: redis.Redis, manifest: Manifest) -> None:
    """BAC-25: append-only file, memory limit and eviction policy are effective."""
    settings = manifest.redis
    wanted = {
        "appendonly": "yes",
        "maxmemory": str(settings.maxmemory * 1024 * 1024),
        "maxmemory-policy": settings.maxmemory_policy,
    }
    expect.same({name: client.config_get(name).get(name) for name in wanted}, wanted, cache.name)


def test_stores(client: redis.Redis) -> None:
    """RIQ-20, BAC-27: a session or a query's result can be kept for a time; the key removed again."""
    key = f"keel:verify:{uuid4()}"
    assert client.set(key, "1", ex=10) is True
    assert client.get(key) == "1"
    assert client.delete(key) == 1


def test_needs_a_password(session: Session, tunnels: Tunnels, cache: HostEntry) -> None:
    """PLAT-25: without an account, and with a wrong password, Redis does nothing."""
    with closing(connect(session, tunnels, cache)) as nobody, pytest.raises(AuthenticationError):
        nobody.ping()
    wrong = connect(session, tunnels, cache, username=REDIS_ACCOUNT, password="password")
    with closing(wrong), pytest.raises(AuthenticationError):
        wrong.ping()


def test_account_is_no_administrator(client: redis.Redis, manifest: Manifest) -> None:
    """PLAT-25: the application's account neither reads accounts nor changes settings, not even to what they are."""
    with pytest.raises(NoPermissionError):
        client.acl_list()
    with pytest.raises(NoPermissionError):
        client.config_set("maxmemory", f"{manifest.redis.maxmemory}mb")


def test_account_endangers_nothing(client: redis.Redis) -> None:
    """PLAT-25: the application's account cannot empty the cache or hold it up. Where it could, this argument is an error."""
    for command in ("FLUSHALL", "FLUSHDB", "SORT"):
        with pytest.raises(NoPermissionError):
            client.execute_command(command, "NEVER")  # type: ignore[no-untyped-call]


def test_plaintext_is_refused(session: Session, tunnels: Tunnels, cache: HostEntry) -> None:
    """PLAT-25: Redis speaks TLS only."""
    with socket.create_connection((LOOPBACK, tunnels.to(cache, session.manifest.ports.redis)), timeout=5) as plain:
        plain.sendall(b"PING\r\n")
        assert not plain.recv(16).startswith((b"+", b"-NOAUTH")), "Redis answers in clear"
