"""What a product's program may not hold, on a running environment, whatever it sets itself; who guesses passwords (W8, W9)."""

from __future__ import annotations

import re

import psycopg
import pytest
import redis
from psycopg.conninfo import make_conninfo
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from environment.products import catalogue
from environment.waiting import until
from ops.hosts.session import Session
from tests.system.environments import Ephemeral

FORGE = catalogue()["componentforge"]
WHOLE = 4
GUESSES = 20


@pytest.fixture(scope="module", autouse=True)
def short(dev: Ephemeral) -> None:
    """ComponentForge's transactions end after seconds."""
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


def test_guesses_are_counted_with_their_address(environment: Session) -> None:
    """W8, ADA-31: on each of the three ports, within a minute."""
    edge, ports = environment.manifest.host("edge1"), environment.manifest.ports
    # From the machine, through the published ports: a client's address.
    endpoints = environment.manifest.endpoints
    assert endpoints.primary and endpoints.pgbouncer and endpoints.redis
    for port in (endpoints.primary, endpoints.pgbouncer):
        guess = make_conninfo(
            "", host=endpoints.address, port=port, dbname=FORGE.name, user=FORGE.app_role, password="guess"
        )
        for _ in range(GUESSES):
            with pytest.raises(psycopg.OperationalError, match="authentication failed"):
                psycopg.connect(guess)
    client = redis.Redis(
        endpoints.address, endpoints.redis, username=FORGE.name, password="guess", ssl=True, ssl_cert_reqs="none",
        retry=Retry(ConstantBackoff(0), 0),
    )  # fmt: skip
    for _ in range(GUESSES):
        with pytest.raises(redis.AuthenticationError):
            client.ping()
    gateway = f"{str(edge.address).rpartition('.')[0]}.1"

    def counted() -> bool:
        lines = told(environment, "edge1", "keel-watch-logins")
        found = dict.fromkeys((ports.primary, ports.pgbouncer, ports.redis), 0)
        for times, port, address in re.findall(r"(\d+) .* on port (\d+) from (\S+)", lines):
            if address == gateway and int(port) in found:
                found[int(port)] += int(times)
        return min(found.values()) >= GUESSES

    until(counted, 60, "the guesses in the journal of edge1", every=1)
