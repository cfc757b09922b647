"""`keel update`: newer versions of Debian's packages, one host at a time."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ops.cli.console import AsJson, Environment, confirm, print_lines, progress, refuse_unasked


def update(
    environment: Environment = "dev",
    host: Annotated[list[str] | None, typer.Option(help="only this host; repeatable")] = None,
    dry: Annotated[bool, typer.Option("--dry", help="change nothing, only show what is newer")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: AsJson = False,
) -> None:
    """Install newer versions of packages and restart what runs them: replicas, the primary after a switchover, the others.

    Never another major of PostgreSQL: nothing is installed that was not there, and nothing removed.
    Exit status: 0 done or nothing is newer, 1 you said no, 2 refused or stopped: run it again.
    """
    from ops.hosts.environment import open_environment
    from ops.update.rolling import carry_out, effects, plan

    refuse_unasked(environment, yes or dry, "update its hosts")
    with open_environment(environment) as session:
        with progress(f"{environment}: update") as report:
            found = plan(session, host or (), report)
        shown = {each.host: list(effects(session, each)) for each in found}
        if not as_json:
            print_lines(*(f"{host}: {effect}" for host, said in shown.items() for effect in said))
        if found and not dry:
            confirm(environment, yes, "update its hosts")
            with progress(f"{environment}: update") as report:
                carry_out(session, found, report)
    if as_json:
        hosts = [
            {
                "host": each.host,
                "packages": {name: {"installed": old, "newer": new} for name, (old, new) in each.packages.items()},
                "restarts": each.restarts,
                "moves": each.moves,
                "effects": shown[each.host],
            }
            for each in found
        ]
        print(json.dumps({"hosts": hosts, "updated": bool(found) and not dry}, indent=2, sort_keys=True))
        return
    print_lines(f"{environment}: {'nothing is newer' if not found else 'changed nothing' if dry else 'updated'}")
