"""A process ends with the engine that it works for."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from environment import lifeline
from environment.load import ROOT

CHILD = """
import os, sys, subprocess, time
from environment import lifeline
lifeline.INTERVAL = 0.01
lifeline.end_with_pulumi(with_children=sys.argv[1] == "group")
other = subprocess.Popen(["sleep", "60"])
print(lifeline.engine(), os.getpid(), os.getpgid(0), other.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def engine(tmp_path: Path) -> str:
    """A shell called pulumi."""
    return str(shutil.copy("/bin/bash", str(tmp_path / "pulumi")))


@pytest.mark.parametrize("form", ["group", "alone"])
def test_a_process_ends_with_its_engine(engine: str, form: str) -> None:
    """With everything it started, where that is asked for: nothing goes on changing hosts that no engine records."""
    script = f"{sys.executable} -c '{CHILD}' {form}; true"
    shell = subprocess.Popen([engine, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert shell.stdout
    found, process, group, other = map(int, shell.stdout.readline().split())
    watched = {pid: os.pidfd_open(pid) for pid in (process, other)}
    assert found == shell.pid
    assert (group == process) is (form == "group")
    shell.kill()
    shell.wait()
    assert _ended(watched[process])
    if form == "group":
        assert _ended(watched[other])
    else:
        assert lifeline.runs(other, "sleep")
        os.kill(other, signal.SIGKILL)
    for descriptor in watched.values():
        os.close(descriptor)


def _ended(process: int) -> bool:
    """True once the process has ended; False if it did not within seconds."""
    return bool(select.select([process], [], [], 20)[0])


def test_without_an_engine_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifeline, "_ancestor", lambda _: None)
    monkeypatch.setattr("threading.Thread", lambda **_: pytest.fail("nothing is there to watch"))
    lifeline.end_with_pulumi(with_children=True)
    assert lifeline.engine() is None


def test_a_process_runs_by_its_number_and_name() -> None:
    """A zombie runs no more, nor does a later process of another name."""
    child = subprocess.Popen(["sleep", "60"])
    assert lifeline.runs(child.pid, "sleep") and not lifeline.runs(child.pid, "pulumi")
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not lifeline.runs(child.pid, "sleep"), "a zombie"
    child.wait()
    assert not lifeline.runs(child.pid, "sleep")
