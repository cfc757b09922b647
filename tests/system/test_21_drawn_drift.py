"""Changes drawn by chance from what runs, not from what Keel checks: each is told by name, and repaired as the report says."""

from __future__ import annotations

import json
import os
import random
import re
import time
from contextlib import ExitStack

import pytest

from db.difference import Difference
from ops.hosts.docker import docker
from ops.hosts.session import Session
from ops.status.drift import Drift
from tests.system import drawn
from tests.system.environments import Ephemeral

IN_THE_GATE, IN_THE_CAMPAIGN = 12, 40


def test_what_is_changed_by_chance_is_told_and_repaired(dev: Ephemeral, pytestconfig: pytest.Config) -> None:
    """PLAT-48, PLAT-29, PLAT-03: hosts, units, settings, Patroni, roles, rights, schemas. None is left."""
    drawing = pytestconfig.getoption("--draw")
    seed = int(os.environ.get("KEEL_TEST_SEED") or drawing or random.randrange(10**6))
    number = IN_THE_CAMPAIGN if drawing is None else IN_THE_GATE
    print(f"KEEL_TEST_SEED={seed} draws the same {number} changes again")
    with dev.session() as session, ExitStack() as stack:
        stack.callback(repair, dev, session)  # whatever was seen: the tests after this one need a whole environment
        changes = drawn.draw(dev, session, number, seed)
        print(*changes, sep="\n")
        began = time.monotonic()
        found = drift(dev)
        print(f"looked in {time.monotonic() - began:.1f} s")
        assert not found.unknown, found.unknown
        lines = [*found.resources, *found.hosts, *(str(difference) for difference in found.databases)]
        untold = [str(one) for one in changes if not any(one.where in line and one.what in line for line in lines)]
        assert not untold, "\n".join([*untold, "the report:", *lines])
    assert drift(dev) == Drift()


def repair(dev: Ephemeral, session: Session) -> None:
    """As the report says: the commands and the statements for what stays, and one `up` for the rest."""
    found = drift(dev)
    for command in re.findall("`docker ([^`]+)`", "\n".join(found.resources)):
        docker(*command.split())
    for difference in found.databases:
        if difference.stays and difference.undo:
            drawn.execute(session, difference.what.partition(":")[0], difference.undo)
    dev.up("--refresh")


def drift(dev: Ephemeral) -> Drift:
    """The report of `./keel drift`."""
    done = dev.keel("drift", "--json", check=False)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    databases = tuple(Difference(**difference) for difference in told["databases"])
    return Drift(tuple(told["resources"]), tuple(told["hosts"]), databases, tuple(told["unknown"]))
