"""`keel switchover`: another server becomes the primary, and clients only wait for it."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli.console import Environment, confirm, progress, refuse_unasked, stdout


def switchover(
    to: Annotated[str | None, typer.Option("--to", help="who leads then; default: the synchronous replica")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    environment: Environment = "dev",
) -> None:
    """Make another server the primary. Clients of the pooler wait for it and see no error.

    Open transactions get 2 s to end. If one does not, nothing moves, and the answer names it.
    Exit status: 0 moved, 1 you said no, 2 refused.
    """
    from ops.cluster.switchover import carry_out, plan
    from ops.hosts import lock
    from ops.hosts.environment import open_environment

    refuse_unasked(environment, yes, "move its primary")
    with open_environment(environment) as session:
        move = plan(session, to)
        stdout().print(f"{environment}: the primary moves from {move.leader} to {move.candidate}")
        confirm(environment, yes, "move its primary")
        with lock.held(session, [host.name for host in session.manifest.hosts]), progress("switchover") as report:
            held = carry_out(session, move, report)
    pauses = ", ".join(f"those of {edge} for {seconds:.1f} s" for edge, seconds in held.items())
    stdout().print(f"{environment}: {move.candidate} leads. Clients waited: {pauses or 'none was held'}")
