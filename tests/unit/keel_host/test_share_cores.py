"""Whose sessions wait for the processors (W9)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keel_host.backends import Backend
from keel_host.config import Bound, Member
from keel_host.programs import share_cores
from keel_host.programs.share_cores import FORGIVES, LOW, Sharing, place, taken, used

TICKS = os.sysconf("SC_CLK_TCK")
NOWHERE = Path()
BUSY = [sys.executable, "-c", "while True: pass"]
IDLE = [sys.executable, "-c", "input()"]
BOUNDS = {"flood_app": Bound(60, 600), "other_app": Bound(60, 600)}


def host(processors: int) -> Member:
    return Member("", NOWHERE, NOWHERE, "", NOWHERE, "", 0, bounds=BOUNDS, processors=processors)


def test_a_database_has_what_its_sessions_computed_meanwhile() -> None:
    """One that was not seen before computed nothing that is known, and one that took another's number nothing less than that."""
    sessions = {1: "a", 2: "a", 3: "b", 4: "b"}
    now = {1: 12 * TICKS, 2: 5 * TICKS, 3: 7 * TICKS, 4: 1 * TICKS}
    before = {1: 2 * TICKS, 3: 7 * TICKS, 4: 9 * TICKS}
    assert used(sessions, now, before, 20) == {"a": 0.5, "b": 0.0}


def test_what_has_ended_computed_nothing() -> None:
    assert taken(999999999) is None
    assert taken(os.getpid()) is not None


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """One that computes and one that waits."""
    found = [subprocess.Popen(command, stdin=subprocess.PIPE) for command in (BUSY, IDLE)]
    yield found
    for process in found:
        process.kill()
        process.wait()


@pytest.fixture
def sessions(processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """They work for one product each; a third computes for who has no bounds."""
    busy, idle = (process.pid for process in processes)
    found = [
        Backend(busy, "flood_app", "flood", "SELECT"),
        Backend(idle, "other_app", "other", "idle"),
        Backend(os.getpid(), "flood_migrator", "flood", "CREATE INDEX"),
    ]
    monkeypatch.setattr(share_cores, "backends", lambda: found)
    return busy, idle


def test_who_takes_more_than_a_quarter_leaves_a_processor(
    sessions: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Less than that is no one else's loss, and who has taken less for a while may run anywhere again. Each turn is said once."""
    every = os.sched_getaffinity(0)
    less = set(sorted(every)[:-1])
    sharing = Sharing(host(len(every)))

    def look_at(now: float, *share: float) -> list[set[int]]:
        monkeypatch.setattr(share_cores, "used", lambda *_: dict(zip(("flood", "other"), share, strict=True)))
        sharing.look(now)
        return [os.sched_getaffinity(pid) for pid in sessions]

    assert look_at(0, 0.26, 0.25) == look_at(0.5, 0.9, 0.25) == [less, every]
    assert look_at(FORGIVES, 0.0, 0.0) == [less, every]
    assert look_at(FORGIVES + 0.5, 0.0, 0.0) == [every, every]
    assert os.sched_getaffinity(0) == every
    assert capsys.readouterr().out.splitlines() == [
        "flood takes 26% of the processors: its sessions leave one to others",
        "flood takes less than 25% again: its sessions run anywhere",
    ]


def test_what_is_watched_is_what_they_compute_meanwhile(
    sessions: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(share_cores, "QUARTER", 0.01)  # tests beside this one compute too
    sharing = Sharing(host(2))
    sharing.look(time.monotonic())
    assert capsys.readouterr().out == ""
    time.sleep(1)  # in which the one computes
    sharing.look(time.monotonic())
    assert capsys.readouterr().out.startswith("flood takes ")


@pytest.mark.parametrize(("usable", "left"), [(2, 1), (3, 2), (99, None)])
def test_of_what_a_container_may_use_one_is_left(
    processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, usable: int, left: int | None
) -> None:
    """A container sees all processors of its machine, and may use a part of their time."""
    given: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3})
    monkeypatch.setattr(os, "sched_setaffinity", lambda _pid, where: given.append(where))
    place(processes[0].pid, usable, greedy=True)
    assert given == [set(range(left or 3))]


def test_a_single_processor_cannot_be_left(processes: list[subprocess.Popen[bytes]]) -> None:
    busy = processes[0].pid
    place(busy, 1, greedy=True)
    assert os.getpriority(os.PRIO_PROCESS, busy) == LOW
    assert os.sched_getaffinity(busy) == os.sched_getaffinity(0)
