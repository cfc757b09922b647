"""A process ends with the engine that it works for."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from environment.load import ROOT
from processes import pulumi_engine

CHILD = """
import os, sys, subprocess, time
from processes import pulumi_engine
pulumi_engine.INTERVAL = 0.01
pulumi_engine.end_with_it(with_children=sys.argv[1] == "group")
other = subprocess.Popen(["sleep", "60"])
print(pulumi_engine.pid(), os.getpid(), os.getpgid(0), other.pid, flush=True)
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
        assert pulumi_engine.runs(other, "sleep")
        os.kill(other, signal.SIGKILL)
    for descriptor in watched.values():
        os.close(descriptor)


def _ended(process: int) -> bool:
    """True once the process has ended; False if it did not within seconds."""
    return bool(select.select([process], [], [], 20)[0])


def test_without_an_engine_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_engine, "_ancestor", lambda _: None)
    monkeypatch.setattr("threading.Thread", lambda **_: pytest.fail("nothing is there to watch"))
    pulumi_engine.end_with_it(with_children=True)
    assert pulumi_engine.pid() is None


def test_a_process_runs_by_its_number_and_name() -> None:
    """A zombie runs no more, nor does a later process of another name."""
    child = subprocess.Popen(["sleep", "60"])
    assert pulumi_engine.runs(child.pid, "sleep") and not pulumi_engine.runs(child.pid, "pulumi")
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not pulumi_engine.runs(child.pid, "sleep"), "a zombie"
    child.wait()
    assert not pulumi_engine.runs(child.pid, "sleep")


def test_a_process_began_at_its_start() -> None:
    """The kernel's ticks since it booted: what tells a process from a later one with the same number."""

    def now() -> float:
        return float(Path("/proc/uptime").read_text().split()[0]) * os.sysconf("SC_CLK_TCK")

    before = now()
    with subprocess.Popen(["sleep", "60"]) as child:
        name, parent, started = pulumi_engine._stat(child.pid)
        child.kill()
    assert parent == os.getpid() and name
    assert before - 1 <= int(started) <= now() + 1


class Killed(BaseException):
    """Stands for the end of this process."""


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """What `pulumi_engine` sends instead of doing so; a second look at the engine is a failure."""
    sent: list[tuple[str, int, int]] = []

    def kill(pid: int, number: int) -> None:
        sent.append(("process", pid, number))
        raise Killed

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(os, "killpg", lambda group, number: sent.append(("group", group, number)))
    monkeypatch.setattr("threading.Event.wait", lambda *_: pytest.fail("it goes on watching"))
    return sent


@pytest.mark.parametrize("with_children", [True, False])
def test_whoever_watches_ends_itself_once_its_engine_is_gone(kills: list[Any], with_children: bool) -> None:
    """And its group, where it has one of its own."""
    child = subprocess.Popen(["sleep", "0"])
    started = pulumi_engine._stat(child.pid)[2]
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    alone = [("process", os.getpid(), signal.SIGKILL)]
    wanted = [("group", os.getpgid(0), signal.SIGKILL), *alone] if with_children else alone
    for state in ("zombie", "gone"):
        kills.clear()
        with pytest.raises(Killed):
            pulumi_engine._watch(child.pid, started, with_children)
        assert kills == wanted, state
        child.wait()


def test_a_later_process_of_the_same_number_is_not_the_engine(kills: list[Any]) -> None:
    with pytest.raises(Killed):
        pulumi_engine._watch(os.getpid(), "0", with_children=False)
    assert kills


def test_nothing_ends_while_the_engine_runs(kills: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def wait(_: object, seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise Killed

    monkeypatch.setattr("threading.Event.wait", wait)
    with pytest.raises(Killed):
        pulumi_engine._watch(os.getpid(), pulumi_engine._stat(os.getpid())[2], with_children=True)
    assert kills == [] and looks == [pulumi_engine.INTERVAL] * 3


@pytest.mark.parametrize("with_children", [True, False])
def test_only_who_ends_with_its_children_leads_a_group(monkeypatch: pytest.MonkeyPatch, with_children: bool) -> None:
    """Who does not would take its caller's group with it."""
    groups: list[tuple[int, int]] = []
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(pulumi_engine, "_ancestor", lambda _: (4711, "12"))
    monkeypatch.setattr(os, "setpgid", lambda *of: groups.append(of))

    def thread(**given: Any) -> SimpleNamespace:
        started.append(given)
        return SimpleNamespace(start=lambda: None)

    monkeypatch.setattr("threading.Thread", thread)
    pulumi_engine.end_with_it(with_children=with_children)
    assert groups == ([(0, 0)] if with_children else [])
    assert started == [{"target": pulumi_engine._watch, "args": (4711, "12", with_children), "daemon": True}]


@pytest.mark.parametrize(
    ("name", "found"), [("python", (50, "5")), ("pulumi", (40, "4")), ("engine", (2, "2")), ("systemd", None)]
)
def test_the_engine_is_the_nearest_of_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, found: tuple[int, str] | None
) -> None:
    """Process 1 is the machine's, whatever it is called."""
    tree = {
        60: ("sh", 50, "6"),
        50: ("python", 40, "5"),
        40: ("pulumi", 2, "4"),
        2: ("engine", 1, "2"),
        1: ("systemd", 0, "1"),
    }
    monkeypatch.setattr(os, "getppid", lambda: 60)
    monkeypatch.setattr(pulumi_engine, "_stat", tree.__getitem__)
    assert pulumi_engine._ancestor(name) == found
    assert pulumi_engine.pid() == 40


def test_an_engine_that_is_gone_is_noticed_soon() -> None:
    """Until then a step goes on changing hosts."""
    assert pulumi_engine.INTERVAL == 0.5


REMEMBER = """
import sys
from pathlib import Path
from processes import pulumi_engine
pulumi_engine.remember(Path(sys.argv[1]))
print("remembered", flush=True)
"""


def test_an_engine_is_known_again_where_it_was(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its number, by when it lived, and by the start of the machine: another one may have the same name and the same numbers."""
    file, begun = tmp_path / "engines" / "dev", time.time()
    assert not pulumi_engine.ended_here(file) and not pulumi_engine.was(file, 1, begun)
    shell = subprocess.Popen(
        [engine, "-c", f"{sys.executable} -c '{REMEMBER}' {file}; read -r _"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert shell.stdout and shell.stdout.readline() == "remembered\n"
    assert not pulumi_engine.ended_here(file), "it runs"
    shell.communicate()
    assert pulumi_engine.ended_here(file)
    assert pulumi_engine.was(file, shell.pid, int(begun))
    assert not pulumi_engine.was(file, shell.pid + 1, begun)
    assert not pulumi_engine.was(file, shell.pid, begun - 60) and not pulumi_engine.was(
        file, shell.pid, time.time() + 60
    )
    other = tmp_path / "boot_id"
    other.write_text("another start")
    monkeypatch.setattr(pulumi_engine, "BOOT", other)
    assert not pulumi_engine.ended_here(file)
    file.write_text("{")
    assert not pulumi_engine.ended_here(file)
