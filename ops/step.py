"""One step, in a process of its own: `python -m ops.step`, its request on standard input.

Pulumi's provider (components/step.py) and `./keel converge` start it through processes/step.py, which says what they tell each other.
"""

from __future__ import annotations

import sys

import gevent
from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

import importlib
import json
import os
import signal
from contextlib import suppress
from typing import Any, TextIO

from environment.derive import Roots
from environment.errors import KeelError, message
from environment.manifest import Manifest
from ops.hosts import changes, lock
from ops.hosts.session import open_session
from processes import pulumi_engine
from processes.libpq import without_home

ACTIONS = {
    "image": "ops.steps.image",
    "leave": "ops.steps.leave",
    "drain": "ops.steps.drain",
    "ready": "ops.steps.ready",
    "converge": "ops.steps.converge",
    "recovery": "ops.steps.bootstrap_gate",
    "databases": "ops.steps.databases",
    "migration": "ops.steps.migration",
    "verification": "ops.steps.verification",
    "converge-on-demand": "ops.steps.converge_on_demand",
}
"""Action → module that is a :class:`ops.steps.Step`, where there is something to look at one that is Observed.
One that touches running services is Foreseen: a preview's phase `foresee` asks it, with the old inputs and without a secret."""

GRACE = 3
"""Seconds that an interrupted step has to end before its children are ended: a query is cancelled through a tunnel."""

UNLOCKED = frozenset({"image", "ready", "converge", "converge-on-demand"})
"""Actions that need not ask who holds the hosts' lock: no host is concerned, or they take it themselves."""


def module_of(action: str) -> Any:
    """The module that carries an action out; it is imported only then, for most are slow to import."""
    return importlib.import_module(ACTIONS[action])


def main(request: dict[str, Any], answer: TextIO) -> int:
    """Carry out ``request``; the exit status is 0 when it answered a result."""

    def say(kind: str, value: object) -> None:
        answer.write(json.dumps({kind: value}, sort_keys=True) + "\n")
        answer.flush()

    last = "it began"

    def report(text: str) -> None:
        nonlocal last
        last = text
        say("progress", text)

    inputs = request["inputs"]
    module = module_of(request["action"])
    try:
        if request["phase"] == "foresee":
            say("result", module.foresee(request["olds"], inputs))
            return 0
        manifest = Manifest.from_slice(inputs["manifest"])
        roots = Roots(manifest.identity.name, **request["roots"])
        changes.works_for(" ".join(dict.fromkeys((request["action"], inputs.get("name", "")))).strip())
        with open_session(manifest, roots) as session:
            if request["phase"] == "apply":
                if request["action"] not in UNLOCKED:
                    lock.refuse_others(session, changes_it=request["action"] != "verification")
                say("result", module.apply(session, inputs, report))
            else:
                say("result", module.observe(session, inputs))
    except KeyboardInterrupt as signalled:
        with suppress(BrokenPipeError):
            say("error", str(KeelError(f"interrupted at: {last}", "What was done stays", "Run it again: it goes on")))
        return 128 + int(signalled.args[0])
    except Exception as error:
        say("error", message(error))
        return 1
    return 0


def _interrupt(work: Any, number: int) -> None:
    """Raise KeyboardInterrupt in the greenlet that works. Threads may wait for children, which then end first."""
    gevent.kill(work, KeyboardInterrupt(number))
    gevent.spawn_later(GRACE, _end_children)


def _end_children() -> None:
    """End what the step started and that has not ended with it: connections, builds, tests. They are in its process group."""
    if os.getpgid(0) == os.getpid():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)


if __name__ == "__main__":
    # A signal becomes an exception, so that the session's files and tunnels go with the step. Python's own handler would raise
    # it wherever gevent is just then. Further ones change nothing: it is ending.
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, _interrupt, gevent.getcurrent(), number)
    pulumi_engine.end_with_it(with_children=True)
    without_home()
    # Whatever a library prints must not mix with the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    status = main(json.load(sys.stdin), answers)
    _end_children()
    # What still waits for a host in a greenlet or thread is not waited for.
    os._exit(status)
