"""Whose sessions wait for the processors (W9)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keel_host.config import Member
from keel_host.programs import share_cores
from keel_host.programs.share_cores import LOW, look, taken, used

TICKS = os.sysconf("SC_CLK_TCK")
NOWHERE = Path()
BUSY = [sys.executable, "-c", "while True: pass"]
IDLE = [sys.executable, "-c", "input()"]


def test_a_database_has_what_its_sessions_computed_since_the_last_look() -> None:
    """One that is new computed all of it since; one that took another's number computed nothing less than that."""
    sessions = {"1": "a", "2": "a", "3": "b", "4": "b"}
    now = {"1": 12 * TICKS, "2": 5 * TICKS, "3": 7 * TICKS, "4": 1 * TICKS}
    assert used(sessions, now, {"1": 2 * TICKS, "3": 7 * TICKS, "4": 9 * TICKS}, 20) == {"a": 0.75, "b": 0.0}


def test_what_has_ended_computed_nothing() -> None:
    assert taken("999999999") is None
    assert taken(str(os.getpid())) is not None


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """One that computes and one that waits."""
    found = [subprocess.Popen(command, stdin=subprocess.PIPE) for command in (BUSY, IDLE)]
    yield found
    for process in found:
        process.kill()
        process.wait()


def test_who_takes_more_than_a_quarter_waits(
    processes: list[subprocess.Popen[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first look only remembers; less than that is no one else's loss."""
    busy, idle = (process.pid for process in processes)
    monkeypatch.setattr(share_cores, "lines", lambda *_: [f"{busy}|flood", f"{idle}|other"])
    ticks = iter(((0, 0), (40, 0), (170, 0)))

    def at(_pid: str) -> int:
        return computed[_pid == str(idle)] * TICKS

    monkeypatch.setattr(share_cores, "taken", at)
    host = Member("", NOWHERE, NOWHERE, "", NOWHERE, "", 0, cores_taken=tmp_path / "taken", processors=2)
    for now in (1000.0, 1100.0, 1200.0):
        computed = next(ticks)
        look(host, now)
        priorities = [os.getpriority(os.PRIO_PROCESS, pid) for pid in (busy, idle)]
        assert priorities == [LOW if now == 1200 else 0, 0]
    assert capsys.readouterr().out == "flood took 65% of the processors: its sessions wait for others\n"
