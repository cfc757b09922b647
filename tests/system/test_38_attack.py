"""`./keel verify --attack`: every wall that stands holds, and with it taken down the attempt succeeds (W0 to W15)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from environment.types import Group
from ops.attack.attacker import attacking
from ops.attack.attempts import carry_out, chosen
from ops.hosts.session import Session
from tests.system.breaches import BREACHES, Breach
from tests.system.environments import Ephemeral

OPEN = {
    "names_of_users": "W15: the names are in this repository; PgBouncer would keep a record of each unknown one that it is asked for",
}
"""Walls that are still to be built, or are not worth it. Who builds one takes its line away, and says in BREACHES how it is taken down."""


@contextmanager
def taken_down(session: Session, breach: Breach) -> Iterator[None]:
    """Without the wall."""
    host = session.leader() if breach.group is Group.POSTGRES else session.manifest.carrying(breach.group)[0]
    session.run(host.name, breach.down)
    try:
        yield
    finally:
        session.run(host.name, breach.again)


def attacked(ephemeral: Ephemeral) -> dict[str, Any]:
    """What `./keel verify --attack` says, by attempt."""
    done = ephemeral.keel("verify", "--attack", "--json", check=False)
    assert done.returncode in (0, 1, 2), done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)}


@pytest.mark.parametrize("like", ["dev", "ci"])
def test_every_wall_holds(like: str, request: pytest.FixtureRequest) -> None:
    """PLAT-09, PLAT-10, PLAT-11, PLAT-41, JEEX-33: each attempt is carried out, and refused wherever it is tried."""
    found = attacked(request.getfixturevalue(like))
    through = {name for name, each in found.items() if any(one["succeeded"] for one in each["tries"])}
    untried = [one for each in found.values() for one in each["tries"] if one["succeeded"] is None]
    told = [one for name in through - OPEN.keys() for one in found[name]["tries"] if one["succeeded"]]
    assert not told and not untried, f"{told} {untried}"


SEVERAL_HOSTS = {"undeclared_pairs", "destroys_backups"}
"""Attempts that one host makes at another."""


@pytest.mark.family("breach", "ops/attack/", "roles/", "db/spec.py", "environment/access.py")
@pytest.mark.parametrize(("name", "like"), [(name, "dev" if name in SEVERAL_HOSTS else "ci") for name in BREACHES])
def test_with_a_wall_taken_down_it_succeeds(name: str, like: str, request: pytest.FixtureRequest) -> None:
    """And when the wall is up again it is refused."""
    ephemeral: Ephemeral = request.getfixturevalue(like)
    with ephemeral.session() as session, attacking(session) as attacker:
        (attempt,) = chosen([name])
        with taken_down(session, BREACHES[name]):
            assert carry_out(attempt, attacker).successes
        assert attempt.waits or not carry_out(attempt, attacker).successes
