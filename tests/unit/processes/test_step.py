"""A step in a process of its own: what reaches it, what is heard of it, and how it ends."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from components import step as provider
from environment.load import ROOT
from ops.step import ACTIONS
from ops.steps import (
    Observed,
    Step,
    bootstrap_gate,
    converge,
    converge_on_demand,
    databases,
    drain,
    image,
    leave,
    migration,
    ready,
    verification,
)
from processes import step
from processes.step import StepFailed, run_step
from tests.stand_ins import first_on_path, stand_in
from tests.unit.cli_fakes import session
from tests.unit.hosts import nothing

LOOKING: dict[str, Observed] = {
    "image": image, "ready": ready, "converge": converge, "databases": databases, "migration": migration,
    "verification": verification,
}  # fmt: skip
STEPS: dict[str, Step] = {
    **LOOKING, "leave": leave, "drain": drain, "recovery": bootstrap_gate, "converge-on-demand": converge_on_demand
}  # fmt: skip
"""That each is one is for mypy to say."""


def test_every_action_is_a_step_and_a_refresh_asks_those_that_look() -> None:
    assert {action: import_module(name) for action, name in ACTIONS.items()} == STEPS
    assert LOOKING.keys() == provider.OBSERVED
    assert not [action for action in STEPS.keys() - LOOKING.keys() if hasattr(STEPS[action], "observe")]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test writes the program that is run as the step."""
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops/__init__.py").touch()
    monkeypatch.setattr(step, "ROOT", tmp_path)
    return tmp_path / "ops/step.py"


def test_the_request_travels_on_standard_input_only(program: Path) -> None:
    """Design: no secret is an argument or in the environment. Progress is told as it comes."""
    program.write_text("""
import json, sys
given = sys.stdin.read()
seen = open("/proc/self/cmdline").read() + open("/proc/self/environ").read()
print(json.dumps({"progress": "half"}), flush=True)
print(json.dumps({"progress": "all"}))
print(json.dumps({"result": [json.loads(given), "hidden" in seen]}))
""")
    told: list[str] = []
    assert run_step({"roots": "hidden"}, told.append) == [{"roots": "hidden"}, False]
    assert told == ["half", "all"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("print(json.dumps({'error': 'db1 is away'})); sys.exit(1)", "^db1 is away$"),
        ("print(json.dumps({'progress': 'half'})); sys.exit('MemoryError')", "ended without an answer:\nMemoryError"),
        ("print(json.dumps({'result': 1})); sys.exit('late')", "ended without an answer:\nlate"),
        ("sys.stderr.write('x' * 200_000 + 'end'); sys.exit(1)", "ended without an answer:\nx{1997}end$"),
    ],
    ids=["refused", "died", "died after its answer", "much to say"],
)
def test_a_step_that_fails_says_why(program: Path, script: str, words: str) -> None:
    """With its last words where it has no answer."""
    program.write_text(f"import json, sys\n{script}\n")
    with pytest.raises(StepFailed, match=words):
        run_step({}, nothing)


def test_a_step_ends_with_its_reader(program: Path) -> None:
    """Ctrl-C, for one: nobody would learn what it goes on doing."""
    program.write_text("""
import json, os, time
print(json.dumps({"progress": os.getpid()}), flush=True)
time.sleep(600)
""")
    began: list[int] = []

    def interrupt(pid: Any) -> None:
        began.append(os.pidfd_open(pid))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step({}, interrupt)
    with pytest.raises(ProcessLookupError):
        signal.pidfd_send_signal(began[0], 0)
    os.close(began[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_step_that_is_ended_leaves_no_secret_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Its session's files hold keys. Here it waits for a host that accepts a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        waiting = session(tmp_path, {"network.published": {"ssh": silent.getsockname()[1]}})
        inputs = {"manifest": waiting.manifest.model_dump(mode="json"), "host": "db1"}
        request = {"action": "drain", "phase": "apply", "inputs": inputs, "roots": waiting.roots.secrets()}
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.step"], cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdin
        with process.stdin:
            json.dump(request, process.stdin)
        connection, _ = silent.accept()
        (folder,) = Path("/dev/shm").glob(f"keel-session-{process.pid}-*")
        assert (folder / "id_ed25519").exists()
        process.send_signal(number)
        connection.close()
        assert process.wait(20) == 128 + number
    assert not folder.exists()


PROVIDER = """
import json, os, sys
os.setpgid(0, 0)  # as Pulumi starts its plugins
from processes import pulumi_engine
from processes.step import interrupt, run_step
pulumi_engine.hear_interrupts(interrupt)
for _ in range(2):
    try:
        run_step(json.loads(os.environ["REQUEST"]), print)
    except Exception as error:
        print(error, flush=True)
"""


DOCKER = """
case "$1" in
  build) echo "Step 1/9 : FROM debian"; sleep 600 ;;
  image) [ "$5" = debian:forky ] && echo sha256:1 ;;
esac
"""


@pytest.mark.parametrize(
    ("action", "inputs", "last"),
    [
        ("drain", {"host": "db1"}, "it began"),
        (
            "image",
            {"tag": "keel-host:1", "dockerfile": "FROM debian:forky"},
            "image keel-host:1: Step 1/9 : FROM debian",
        ),
    ],
)
def test_one_interrupt_of_the_engine_ends_its_steps(
    tmp_path: Path, action: str, inputs: dict[str, str], last: str
) -> None:
    """Ctrl-C reaches the terminal's foreground group, in which neither the provider nor the step are. A wait for a host and the
    build of an image end, with whatever the step started, and no other step begins."""
    engine = shutil.copy("/bin/bash", str(tmp_path / "pulumi"))
    stand_in(tmp_path, "docker", DOCKER)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        waiting = session(tmp_path, {"network.published": {"ssh": silent.getsockname()[1]}})
        request = {
            "action": action, "phase": "apply", "roots": waiting.roots.secrets(),
            "inputs": {"manifest": waiting.manifest.model_dump(mode="json"), **inputs},
        }  # fmt: skip
        process = subprocess.Popen(
            # Pulumi goes on after the first interrupt.
            [engine, "-c", f"trap : INT; {sys.executable} -c '{PROVIDER}'; true"],
            cwd=ROOT, stdout=subprocess.PIPE, text=True, process_group=0,
            env=first_on_path(tmp_path) | {"REQUEST": json.dumps(request)},
        )  # fmt: skip
        assert process.stdout
        if action == "drain":
            _connection, _ = silent.accept()
        else:
            assert process.stdout.readline().strip() == last
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=20)
        assert time.monotonic() - began < 10
    assert said.splitlines() == [
        f"interrupted at: {last}. What was done stays. Run it again: it goes on",
        "interrupted before it began. Nothing was changed. Run it again",
    ]
    assert [path.name for path in Path("/proc").glob("[0-9]*") if f"PATH={tmp_path}:" in _environment(path)] == []


def _environment(process: Path) -> str:
    """What a process was started with; nothing of one that has ended or is someone else's."""
    try:
        return (process / "environ").read_text(errors="replace")
    except OSError:
        return ""


@pytest.mark.parametrize("deaf", [False, True])
def test_a_step_that_does_not_end_is_killed(program: Path, monkeypatch: pytest.MonkeyPatch, deaf: bool) -> None:
    """With what it started, where it heads a group."""
    monkeypatch.setattr(step, "GRACE", 0.2)
    monkeypatch.setattr(step, "_interrupted", threading.Event())
    program.write_text(f"""
import json, os, signal, subprocess, time
os.setpgid(0, 0)
child = subprocess.Popen(["sleep", "600"])
signal.signal(signal.SIGINT, signal.SIG_IGN if {deaf} else lambda *_: os.killpg(0, signal.SIGKILL))
print(json.dumps({{"progress": child.pid}}), flush=True)
time.sleep(600)
""")
    child: list[int] = []

    def hear(pid: Any) -> None:
        child.append(os.pidfd_open(pid))
        step.interrupt()

    with pytest.raises(StepFailed, match="ended without an answer"):
        run_step({}, hear)
    assert select.select(child, [], [], 10)[0]
    os.close(child[0])
