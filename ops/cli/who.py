"""`keel who`: who changed what last."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from ops.cli.console import AsJson, Environment, stderr, stdout, table


def who(
    environment: Environment = "dev",
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="how many, the newest first")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show who changed the environment last, with which command and from which revision, as its hosts recorded it.

    Commands that only look are not in it, nor what is done on a host by hand: see `./keel drift`.
    """
    from ops.hosts.changes import last
    from ops.hosts.environment import open_environment

    with open_environment(environment) as session:
        changes, silent = last(session)
    if as_json:
        print(json.dumps({"changes": [asdict(change) for change in changes[:number]], "silent": silent}, indent=2))
        return
    made = table(f"Changes of {environment}", "began (UTC)", "for", "who", "command", "revision", "what")
    for change in changes[:number]:
        began, ended = (datetime.fromisoformat(at) for at in (change.began, change.last))
        seconds = f"{(ended - began).total_seconds():.0f} s"
        what = ", ".join(change.steps)
        made.add_row(f"{began:%Y-%m-%d %H:%M:%S}", seconds, change.who, change.command, change.revision, what)
    stdout().print(made if made.row_count else f"{environment}: its hosts have no record of a change")
    if silent:
        stderr().print(f"{', '.join(silent)}: no answer; what only these recorded is missing", style="yellow")
