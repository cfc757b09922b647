"""What a product's program may not hold, on a running environment, whatever it sets itself; who guesses passwords (W8, W9)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import psycopg
import pytest
import redis
from psycopg.conninfo import make_conninfo
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from environment.products import catalogue
from environment.urls import redis_login
from environment.waiting import until
from ops.hosts.session import Session
from tests.system.environments import Ephemeral

FORGE = catalogue()["componentforge"]
WHOLE = 4
GUESSES = 20
CONNECTS = """python3 -c '
import socket, time
began = time.monotonic()
socket.create_connection(("{address}", {port}))
print(time.monotonic() - began)'"""
"""Shell: seconds until a port lets somebody in."""


@pytest.fixture(scope="module", autouse=True)
def short(dev: Ephemeral) -> None:
    """ComponentForge's transactions end after seconds, and ops1 is a client too."""
    dev.config["keel:network"]["clients"].append(f"{dev.config['keel:hosts']['ops1']['address']}/32")
    dev.config["keel:products"][FORGE.name] |= {"idle_transaction": 2, "transaction": WHOLE}
    dev.save()
    dev.up()


def told(session: Session, host: str, unit: str) -> str:
    """Everything that a unit wrote."""
    return session.run(host, f"journalctl -q -o cat -u {unit}")


@pytest.mark.parametrize("port", ["primary", "replica"])
def test_no_transaction_outlasts_its_limit(environment: Session, port: str) -> None:
    """W9: past the pooler, with every limit lifted that a session can lift, on the primary and on a replica; what is logged
    names login, database and time and no statement."""
    edge, number = environment.manifest.host("edge1"), getattr(environment.manifest.ports, port)
    secret = environment.roots.password(FORGE.app_role)
    login = f"host={edge.address} port={number} dbname={FORGE.name} user={FORGE.app_role} sslmode=require"
    lifted = "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set transaction_timeout = 0;"
    said = environment.run(
        "edge1", f"read -r PGPASSWORD; export PGPASSWORD; psql -X '{login}' 2>&1 || true", 60,
        given=f"{secret}\n{lifted} begin; select pg_sleep(50) as forty_two;\n",
    )  # fmt: skip
    assert "terminating connection due to administrator command" in said
    logged = "".join(told(environment, host, "keel-end-sessions") for host in ("db1", "db2"))
    assert re.search(rf"ended {FORGE.app_role} on {FORGE.name} from {edge.address}: .* the limit is {WHOLE} s", logged)
    assert "forty_two" not in logged


def test_guesses_are_slow_and_counted_with_their_address(environment: Session) -> None:
    """W8, ADA-31: on each of the three ports, within a minute; another address is as fast as ever, and the guesser's own soon is."""
    edge, ports = environment.manifest.host("edge1"), environment.manifest.ports
    # From the machine, through the published ports: a client's address.
    endpoints = environment.manifest.endpoints
    assert endpoints.primary and endpoints.pgbouncer and endpoints.redis
    secret = environment.roots.password(FORGE.app_role)

    def connect(port: int, password: str) -> None:
        login = make_conninfo("", host=endpoints.address, port=port, dbname=FORGE.name, user=FORGE.app_role)
        psycopg.connect(login, password=password).close()

    def ping(port: int, password: str) -> None:
        client = redis.Redis(
            endpoints.address, port, username=FORGE.name, password=password, ssl=True, ssl_cert_reqs="none",
            retry=Retry(ConstantBackoff(0), 0),
        )  # fmt: skip
        client.ping()
        client.close()

    doors = (
        (connect, endpoints.primary, secret),
        (connect, endpoints.pgbouncer, secret),
        (ping, endpoints.redis, environment.roots.password(redis_login(FORGE.name))),
    )
    # A watch that has lost its Redis finds it again.
    before = environment.run("edge1", "pgrep -x redis-cli; systemctl kill -s KILL redis-server")
    until(
        lambda: environment.run("edge1", "pgrep -x redis-cli || true") not in (before, ""), 30, "another look at Redis"
    )
    for (door, port, right), behind in zip(doors, (ports.primary, ports.pgbouncer, ports.redis), strict=True):
        began = time.monotonic()
        for _ in range(GUESSES):
            with pytest.raises(
                (psycopg.OperationalError, redis.AuthenticationError), match=r"authentication failed|invalid username"
            ):
                door(port, "guess")
        assert time.monotonic() - began > 10, behind
        assert float(environment.run("ops1", CONNECTS.format(address=edge.address, port=behind))) < 0.5, behind
        door(port, right)
    for door, port, right in doors:
        until(lambda at=(door, port, right): quick(*at), 60, f"a quick log-in on {port}")  # type: ignore[misc]
    gateway = f"{str(edge.address).rpartition('.')[0]}.1"

    def counted() -> bool:
        lines = told(environment, "edge1", "keel-watch-logins")
        found = dict.fromkeys((ports.primary, ports.pgbouncer, ports.redis), 0)
        for times, port, address in re.findall(r"(\d+) .* on port (\d+) from (\S+)", lines):
            if address == gateway and int(port) in found:
                found[int(port)] += int(times)
        return min(found.values()) >= GUESSES

    until(counted, 60, "the guesses in the journal of edge1", every=1)


def quick(door: Callable[[int, str], None], port: int, password: str) -> bool:
    """Whether who comes in there is not slowed."""
    began = time.monotonic()
    door(port, password)
    return time.monotonic() - began < 0.9
