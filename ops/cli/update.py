"""`keel update`: newer versions of Debian's packages, one host at a time."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli.console import Environment, confirm, print_lines, progress, refuse_unasked


def update(
    environment: Environment = "dev",
    host: Annotated[list[str] | None, typer.Option(help="only this host; repeatable")] = None,
    dry: Annotated[bool, typer.Option("--dry", help="change nothing, only show what is newer")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
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
        print_lines(*(f"{each.host}: {effect}" for each in found for effect in effects(session, each)))
        if found and not dry:
            confirm(environment, yes, "update its hosts")
            with progress(f"{environment}: update") as report:
                carry_out(session, found, report)
    print_lines(f"{environment}: {'nothing is newer' if not found else 'changed nothing' if dry else 'updated'}")
