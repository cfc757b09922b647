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
import signal
from typing import Any, TextIO

from environment.derive import Roots
from environment.errors import told
from environment.manifest import Manifest
from ops.hosts import lock
from ops.hosts.session import open_session
from processes import pulumi_engine

ACTIONS = {
    "image": "ops.steps.image",
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

UNLOCKED = frozenset({"image", "ready", "converge", "converge-on-demand"})
"""Actions that need not ask who holds the hosts' lock: no host is concerned, or they take it themselves."""


def main(request: dict[str, Any], answer: TextIO) -> int:
    """Carry out ``request``; the exit status is 0 when it answered a result."""

    def say(kind: str, value: object) -> None:
        answer.write(json.dumps({kind: value}, sort_keys=True) + "\n")
        answer.flush()

    inputs = request["inputs"]
    module = importlib.import_module(ACTIONS[request["action"]])
    try:
        if request["phase"] == "foresee":
            say("result", module.foresee(request["olds"], inputs))
            return 0
        manifest = Manifest.from_slice(inputs["manifest"])
        roots = Roots(manifest.identity.name, **request["roots"])
        with open_session(manifest, roots) as session:
            if request["phase"] == "apply":
                if request["action"] not in UNLOCKED:
                    lock.refuse_others(session)
                say("result", module.apply(session, inputs, lambda text: say("progress", text)))
            else:
                say("result", module.observe(session, inputs))
    except Exception as error:
        say("error", told(error))
        return 1
    return 0


if __name__ == "__main__":
    # A signal becomes an exception, so that the session's files and tunnels go with the step. Python's own handler would raise
    # it wherever gevent is just then.
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, sys.exit, 128 + number)
    pulumi_engine.end_with_it(with_children=True)
    # Whatever a library prints must not mix with the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    sys.exit(main(json.load(sys.stdin), answers))
