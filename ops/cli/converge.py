"""`keel converge`: apply the roles, whatever Pulumi has recorded as done."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ops.cli.console import AsJson, Environment, progress, stdout, table


def converge(
    environment: Environment = "dev",
    dry: Annotated[bool, typer.Option("--dry", help="change nothing, only list what would change")] = False,
    _every: Annotated[bool, typer.Option("--all", help="all stages on all hosts (the default)")] = False,
    host: Annotated[list[str] | None, typer.Option(help="only this host; repeatable")] = None,
    stage: Annotated[list[str] | None, typer.Option(help="only this stage; repeatable")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the hosts match what the roles declare, whatever Pulumi has recorded.

    Exit status: 0 done (with or without changes), 2 stopped or, when dry, a host unreachable.
    """
    from ops.converge.client import run
    from ops.hosts.environment import open_environment

    with open_environment(environment) as session, progress(f"{environment}: converge") as report:
        outcome = run(session, report, dry=dry, stages=stage or (), hosts=host or ())
    if as_json:
        print(json.dumps(outcome.model_dump(mode="json"), indent=2, sort_keys=True))
    else:
        console = stdout()
        made = table("Would change" if dry else "Changed", "host", "operation")
        for change in outcome.changes:
            made.add_row(*change.split(": ", 1))
        if outcome.changes:
            console.print(made)
        for name in outcome.unreachable:
            console.print(f"unreachable: {name}", style="red")
        console.print(f"{outcome.operations} operations on {outcome.hosts} hosts, {len(outcome.changes)} changes")
    raise typer.Exit(2 if outcome.unreachable else 0)
