"""Run a step in a process of its own (`python -m ops.step`) and hear what it says.

A process of its own because pyinfra's parallel hosts need gevent's patched sockets, which neither Pulumi's gRPC nor the
operator command can live with. The request goes to its standard input, the only way that secrets take; it answers with one JSON
object a line: {"progress": text} while it works, then {"result": …} or {"error": text}.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from environment.errors import UNCHANGED, KeelError
from environment.report import Report

ROOT = Path(__file__).parent.parent
LAST_WORDS = 2000
"""Characters of its standard error that are shown when it ends without an answer."""


GRACE = 7
"""Seconds that an interrupted step has to end: a query is cancelled, tunnels and locks go."""
_running: set[subprocess.Popen[str]] = set()
_interrupted = threading.Event()


class StepFailed(KeelError):
    """A step did not succeed; its message is for the person who started it."""


def run_step(request: Mapping[str, Any], report: Report) -> Any:
    """The result of ``request``: {action, phase, inputs, roots}. Raises StepFailed with what the step said.

    The process ends with its reader: no one else would learn what it does to the hosts.
    """
    # Its errors go to a file: a pipe that no one reads would fill up and stop it.
    with TemporaryFile("w+") as errors, subprocess.Popen(
        [sys.executable, "-m", "ops.step"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
    ) as process:  # fmt: skip
        _running.add(process)
        try:
            if _interrupted.is_set():
                raise StepFailed("interrupted before it began", UNCHANGED, "Run it again")
            answer = _last_answer(process, request, report)
            status = process.wait()
        finally:
            process.terminate()
            _running.discard(process)
        if status or "result" not in answer:
            errors.seek(0)
            died = f"the step ended without an answer:\n{errors.read()[-LAST_WORDS:]}"
            raise StepFailed(answer.get("error") or died)
        return answer["result"]


def interrupt() -> None:
    """End the steps that run, and those that would begin. What does not end within GRACE is killed, with all it started."""
    _interrupted.set()
    ending = list(_running)
    for process in ending:
        process.send_signal(signal.SIGINT)
    for process in ending:
        try:
            process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                if os.getpgid(process.pid) == process.pid:
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()


def _last_answer(process: subprocess.Popen[str], request: Mapping[str, Any], report: Report) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    if process.stdin and process.stdout:
        with process.stdin:
            json.dump(request, process.stdin)
        for line in process.stdout:
            answer = json.loads(line)
            if "progress" in answer:
                report(answer["progress"])
    return answer
