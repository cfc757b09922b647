"""A replica that stays behind on purpose, as the controller treats it: well, never a candidate, later on a new timeline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ops.backup import awaited
from ops.cluster import patroni, switchover
from ops.hosts.session import Session
from ops.steps import drain
from roles.postgres.patroni import Member
from tests.unit.cli_fakes import session

LEADER = Member("db1", "leader", "running", 3, None, False)
DELAYED = Member("db2", "replica", "in archive recovery", 2, 10**9, False, delay=60)
REPLICA = Member("db3", "replica", "streaming", 3, 0, False)


def production(folder: Path, delays: Mapping[str, int]) -> Session:
    """Three members, not synchronous, some delayed."""
    changes = {"environment.kind": "dev", "postgres.synchronous": False, "postgres.apply_delay": dict(delays)}
    return session(folder, changes, "production")


def test_members_know_their_delay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the manifest; on the archive it is well, another one is not."""
    told = [{"name": m.name, "role": m.role, "state": "in archive recovery", "lag": 1} for m in (DELAYED, REPLICA)]
    monkeypatch.setattr(patroni, "ask", lambda *_: json.dumps({"members": told}))
    found = patroni.members(production(tmp_path, {"db2": 60}))
    assert {member.name: (member.delay, member.well) for member in found} == {"db2": (60, True), "db3": (0, False)}


@pytest.mark.parametrize(("delays", "candidates"), [({"db2": 60}, ["db3"]), ({"db2": 60, "db3": 5}, [])])
def test_it_is_never_switched_over_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delays: dict[str, int], candidates: list[str]
) -> None:
    """Where all replicas are delayed, the primary stays where it is, as a single server does."""
    found = [LEADER, DELAYED, replace(REPLICA, delay=delays.get("db3", 0))]
    asked: list[str] = []
    for module in (drain, switchover):
        monkeypatch.setattr(module, "members", lambda _: found)
    monkeypatch.setattr(switchover, "carry_out", lambda _session, move, _report: asked.append(move.candidate))
    drain._move_leader(production(tmp_path, delays), "db1", lambda _: None)
    assert asked == candidates


def test_a_restore_does_not_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JEEX-29: it comes to the new timeline by itself, when its time has passed; the others are there at the end."""
    rounds = [[LEADER, DELAYED, replace(REPLICA, timeline=2)], [LEADER, DELAYED, REPLICA]]
    monkeypatch.setattr(awaited, "members", lambda _: rounds.pop(0))
    awaited.await_replicas(production(tmp_path, {"db2": 60}), 3, lambda _: None)
    assert rounds == []
