"""One step of `pulumi up`, in a process of its own: `python -m ops.step`, its request on standard input.

Pulumi's provider (components/step.py) starts it with a JSON request: action, phase, inputs, roots. It answers with one
JSON object a line: {"progress": text} while it works, then {"result": …} or {"error": text}. It is a process of
its own because pyinfra's parallel hosts need gevent's patched sockets, which Pulumi's gRPC cannot live with.
"""

from __future__ import annotations

import sys

from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

import importlib
import json
from typing import Any, TextIO

from environment import lifeline
from environment.derive import Roots
from environment.errors import told
from environment.manifest import Manifest
from ops.hosts import lock
from ops.hosts.session import open_session

ACTIONS = {
    "image": "ops.steps.image",
    "drain": "ops.steps.drain",
    "ready": "ops.steps.ready",
    "converge": "ops.steps.converge",
    "recovery": "ops.steps.bootstrap_gate",
    "databases": "ops.steps.databases",
    "migration": "ops.steps.migration",
    "verification": "ops.steps.verification",
}
"""Action → module with ``apply(session, inputs, report) -> outputs`` and, where there is something to look at,
``observe(session, inputs) -> drift``."""

UNLOCKED = frozenset({"image", "ready", "converge"})
"""Actions that need not ask who holds the hosts' lock: no host is concerned, or they take it themselves."""


def main(request: dict[str, Any], answer: TextIO) -> int:
    """Carry out ``request``; the exit status is 0 when it answered a result."""

    def say(kind: str, value: object) -> None:
        answer.write(json.dumps({kind: value}, sort_keys=True) + "\n")
        answer.flush()

    inputs = request["inputs"]
    module = importlib.import_module(ACTIONS[request["action"]])
    manifest = Manifest.from_slice(inputs["manifest"])
    roots = Roots(manifest.identity.name, **request["roots"])
    try:
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
    lifeline.end_with_pulumi(with_children=True)
    # Whatever a library prints must not mix with the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    sys.exit(main(json.load(sys.stdin), answers))
