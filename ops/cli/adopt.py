"""`keel adopt`: write Pulumi's state again from what runs, after it was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import Environment, confirm, progress, stdout, table

if TYPE_CHECKING:
    from ops.state.from_plan import Adoption


def adopt(
    make_missing: Annotated[
        bool, typer.Option("--make-missing", help="leave what is missing to the next `up`, which creates it")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    environment: Environment = "dev",
) -> None:
    """Write a new state from what runs on this machine, after Pulumi's state was lost. Nothing on the hosts changes.

    The next `up` then creates only the steps. They find everything in place, so it replaces and restarts nothing.
    If something differs from the stack file, this shows it, and the next `up` acts on it.
    Exit status: 0 recorded, 1 you said no, 2 refused.
    """
    from environment.types import Provider
    from ops.hosts import lock
    from ops.hosts.environment import load_environment
    from ops.hosts.session import open_session
    from ops.state import adopt as adopting

    loaded = load_environment(environment)
    if loaded.manifest.identity.provider is Provider.SSH:
        stdout().print(f"{environment}: its machines are not in Pulumi's state; `make up ENV={environment}` is enough")
        return
    with open_session(loaded.manifest, loaded.roots) as session:
        with progress(f"{environment}: adopt") as report:
            adoption = adopting.look(session, report, make_missing=make_missing)
        with lock.held(session, adopting.hosts(adoption)):
            with progress(f"{environment}: adopt") as report:
                state, ahead = adopting.rehearse(session, adoption, report)
            _show(environment, adoption, ahead)
            confirm(environment, yes, "write its state")
            adopting.write(session, state)
    stdout().print(f"{environment}: recorded. Go on with: make up ENV={environment}")


def _show(environment: str, adoption: Adoption, ahead: list[str]) -> None:
    from ops.state.adopt import rows

    console = stdout()
    console.print(f"{environment}: {len(adoption.found)} resources of Docker run here and are not in Pulumi's state")
    shown = table("Not as the stack file wants it", "resource", "property", "runs", "the stack file wants")
    for row in rows(adoption):
        shown.add_row(*row)
    if shown.row_count:
        console.print(shown)
    for line in ahead:
        console.print(f"the next `up` would {line}", style="yellow")
    if ahead:
        console.print(
            "The state will record everything as it runs now. To avoid these changes, answer no, make the stack file match "
            "what is running, and run `adopt` again"
        )
    else:
        console.print(
            "the next `up` replaces and restarts nothing: it creates the steps, and they find everything in place"
        )
