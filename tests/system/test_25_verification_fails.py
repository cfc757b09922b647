"""The verification finds what is broken and names the requirement; once it is repaired, it passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ops import verification
from ops.session import Session
from tests.system.breakers import BREAKERS
from tests.system.environments import Ephemeral


@pytest.fixture(scope="module")
def failures(dev: Ephemeral) -> Iterator[list[str]]:
    """What one run of the suite finds while everything is broken that can be."""
    with dev.session() as session:
        with ExitStack() as repairs:
            for breaker in BREAKERS.values():
                host = breaker.where.host(session)
                repairs.callback(session.run, host, breaker.repairs)
                session.run(host, breaker.breaks)
            found = verification.run(session)
        yield found


@pytest.mark.parametrize("what", BREAKERS)
def test_what_is_broken_fails_and_is_named(failures: list[str], what: str) -> None:
    """PLAT-49: each area is verified: the test meant for it fails and names the requirement."""
    breaker = BREAKERS[what]
    assert any(line.startswith(breaker.test) and breaker.names in line for line in failures), "\n".join(failures)


def test_nothing_else_fails(failures: list[str]) -> None:
    """PLAT-49: and nothing fails that was not broken."""
    explained = tuple(test for breaker in BREAKERS.values() for test in (breaker.test, *breaker.also))
    assert [line for line in failures if not line.startswith(explained)] == []


def test_repaired_it_passes(failures: list[str], environment: Session) -> None:
    """PLAT-49: the environment that was broken and repaired is verified again."""
    assert verification.run(environment) == []
