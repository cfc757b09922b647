"""`keel drift`: what differs from the model, in Docker, on the hosts and in the databases. Changes nothing."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from ops.cli.console import UNREADABLE, AsJson, Environment, progress, stdout

DRIFT = 3


def drift(environment: Environment = "dev", as_json: AsJson = False) -> None:
    """Show what the next `pulumi up --refresh` would repair.

    Exit status: 0 no drift, 3 drift, 2 something could not be read.
    """
    from ops.hosts.environment import open_environment
    from ops.status.drift import look

    with open_environment(environment) as session, progress(f"{environment}: drift") as report:
        found = look(session, report)
    if as_json:
        print(json.dumps(asdict(found), indent=2, sort_keys=True))
    else:
        console = stdout()
        for line in found.resources:
            console.print(f"drift: {line}", style="yellow")
        if found.resources:
            console.print("  repaired by: pulumi up --refresh, where the line names nothing else")
        for line in found.hosts:
            console.print(f"drift: {line}", style="yellow")
        if found.hosts:
            console.print("  repaired by: ./keel converge, or with the databases by pulumi up --refresh")
        for difference in found.databases:
            console.print(f"drift: {difference.what}", style="yellow")
            if not difference.stays:
                console.print("  repaired by: pulumi up --refresh")
            if difference.undo:
                console.print(f"  undone by: {difference.undo}")
        for line in found.unknown:
            console.print(f"unknown: {line}", style="red")
        numbers = f"{len(found.hosts)} on hosts, {len(found.databases)} in databases"
        if found.resources:
            numbers = f"{len(found.resources)} in Docker, {numbers}"
        console.print(f"{environment}: {numbers}")
    differs = DRIFT if found.resources or found.hosts or found.databases else 0
    raise typer.Exit(UNREADABLE if found.unknown else differs)
