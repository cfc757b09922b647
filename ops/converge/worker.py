"""`python -m ops.converge.worker`: converge in a process of its own, for pyinfra's parallel hosts need gevent's patched sockets.

Standard input: a JSON request {context, stages, dry, only}, the context a file that `ops.hosts.session.export` wrote. Standard
output: one JSON object a line: {"progress": text} while it works, then {"outcome": …} or {"error": text}.
"""

from __future__ import annotations

from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO


def main(request: dict[str, Any], answers: TextIO) -> None:
    """Carry out ``request`` and answer it."""
    from environment.errors import KeelError
    from ops.converge.run import converge
    from ops.hosts.session import adopt

    def say(kind: str, value: object) -> None:
        print(json.dumps({kind: value}), file=answers, flush=True)

    session = adopt(Path(request["context"]))
    try:
        outcome = converge(
            session, request["stages"], lambda text: say("progress", text), dry=request["dry"], only=request["only"]
        )
    except KeelError as error:
        say("error", str(error))
    else:
        say("outcome", asdict(outcome))


if __name__ == "__main__":
    # Whatever a library prints must not mix with the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    main(json.load(sys.stdin), answers)
