"""`keel failover`: the primary's host is dead, and another server takes over at once."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli.console import Environment, confirm, progress, refuse_unasked, stdout


def failover(
    fenced: Annotated[str, typer.Option("--fenced", help="the host that is dead: its power is off")],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask: the power of that host is off")] = False,
    environment: Environment = "dev",
) -> None:
    """Let another server take over without waiting for the lease of a primary whose host is dead.

    Refused while anything of that host answers. On machines you say that its power is off; Docker knows it of a container.
    Exit status: 0 another server leads, 1 you said no, 2 refused.
    """
    from ops.cluster.fenced import carry_out, check
    from ops.hosts.environment import open_environment

    refuse_unasked(fenced, yes, "say that its power is off")
    with open_environment(environment) as session:
        host = check(session, fenced)
        confirm(fenced, yes, "say that its power is off")
        with progress("failover") as report:
            leads = carry_out(session, host, report)
    stdout().print(f"{environment}: {leads} leads. {fenced} joins it as a replica when it comes back")
