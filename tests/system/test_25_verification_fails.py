"""The verification finds what is broken and names the requirement; once it is repaired, it passes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from environment.urls import product_urls
from environment.waiting import until
from ops.hosts.session import Session
from ops.steps import verification
from tests.system.breakers import BREAKERS, Where
from tests.system.environments import Ephemeral


@pytest.fixture(scope="module")
def failures(dev: Ephemeral) -> Iterator[list[str]]:
    """What one run of the suite finds while everything is broken that can be."""
    with dev.session() as session:
        hosts = {where: where.host(session) for where in Where}
        with ExitStack() as repairs:
            for breaker in BREAKERS.values():
                repairs.callback(session.run, hosts[breaker.where], breaker.repairs)
                session.run(hosts[breaker.where], breaker.breaks)
            found = verification.run(session)
        yield found.failures


@pytest.mark.parametrize("what", BREAKERS)
def test_what_is_broken_fails_and_is_named(failures: list[str], what: str) -> None:
    """PLAT-49: each area is verified: the test meant for it fails and names the requirement."""
    breaker = BREAKERS[what]
    assert any(line.startswith(breaker.test) and breaker.names in line for line in failures), "\n".join(failures)


def test_nothing_else_fails(failures: list[str]) -> None:
    """PLAT-49: and nothing fails that was not broken."""
    explained = tuple(test for breaker in BREAKERS.values() for test in (breaker.test, *breaker.also))
    assert [line for line in failures if not line.startswith(explained)] == []


def test_up_fails_with_all_of_it(failures: list[str], environment: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-49: the last step of `pulumi up` fails and lists the requirements."""
    monkeypatch.setattr(verification, "run", lambda session: verification.Result([], failures, 0))
    with pytest.raises(verification.VerificationFailed) as told:
        verification.apply(environment, {}, lambda text: None)
    listed = str(told.value).splitlines()[0]
    assert [breaker.names for breaker in BREAKERS.values() if breaker.names not in listed] == []


def test_repaired_it_passes(failures: list[str], environment: Session) -> None:
    """PLAT-49: the environment that was broken and repaired is verified again."""
    assert verification.run(environment).failures == []


def test_statements_are_known_anew_when_they_are_followed_again(environment: Session) -> None:
    """PLAT-23: what a client ended while PgBouncer did not follow it is prepared again, on every server connection of its pool."""
    entry = environment.manifest.products["ruleiq"]
    url = product_urls(environment.manifest, environment.roots, entry.product)["application"]

    def prepares() -> bool:
        with psycopg.connect(url, autocommit=True, prepare_threshold=0) as client:
            return [client.execute("select 1 where %s", [True]).fetchall() for _ in range(2)] == 2 * [[(1,)]]

    breaker = BREAKERS["prepared statements"]
    edge = breaker.where.host(environment)
    assert prepares()
    environment.run(edge, breaker.breaks)
    try:
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as client:
            client.execute("deallocate all")
    finally:
        environment.run(edge, breaker.repairs)
    # A reload is an order: it is carried out a moment later. What it left would stay as it is.
    stale = (psycopg.errors.InvalidSqlStatementName,)
    until(prepares, 5, "PgBouncer to know its statements", despite=stale)


def test_a_pulumi_up_ends_red_and_after_the_repair_green(dev: Ephemeral) -> None:
    """PLAT-49: a change is made, and what no step repairs fails `pulumi up` at its last resource, with check and requirement."""
    breaker = BREAKERS["undeclared port"]
    dev.config["keel:schedule"] = {"drill": "off"}
    dev.save()
    with dev.session() as session:
        host = breaker.where.host(session)
        try:
            session.run(host, breaker.breaks)
            red = dev.up(check=False)
        finally:
            session.run(host, breaker.repairs)
    green = dev.up()
    assert red.returncode != 0
    said = red.stdout + red.stderr
    assert "Converge backup updated" in said
    assert f"{breaker.test}[{host}]: {breaker.names}: " in said
    assert re.search(
        rf"verification of {dev.name} failed: (\d+) of \1 checks ran, 1 failed, requirements {breaker.names}", said
    )
    assert re.search(r"verification: (\d+) of \1 checks ran, 0 failed", green.stdout)
    dev.up("--expect-no-changes")
