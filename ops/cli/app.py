"""The commands together, and how their errors are told."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ops.cli.adopt import adopt
from ops.cli.backup import app as backup
from ops.cli.clone import clone
from ops.cli.console import UNREADABLE, explained, tell_error
from ops.cli.converge import converge
from ops.cli.db import app as db
from ops.cli.doctor import doctor
from ops.cli.drift import drift
from ops.cli.drill import drill
from ops.cli.env import env
from ops.cli.escrow import app as escrow
from ops.cli.psql import psql
from ops.cli.restore import restore
from ops.cli.status import status
from ops.cli.verify import verify


class Keel(TyperGroup):
    """Errors that Keel understands end with one sentence; any other keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            sentence = explained(error)
            if sentence is None:
                raise
            tell_error(sentence)
            raise typer.Exit(UNREADABLE) from error


app = typer.Typer(cls=Keel, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def keel(
    environment: Annotated[str, typer.Option("--env", "-e", envvar="ENV", help="environment (stack file)")] = "dev",
) -> None:
    """Look at an environment of Keel, check it and work on it.

    Exit status 2: the question could not be answered (environment not up, unknown name, unreachable host).
    """
    # Commands read the same variable, so that --env may stand before or after the command.
    os.environ["ENV"] = environment


for command in (status, restore, clone, drill, doctor, psql, verify, converge, drift, adopt, env):
    app.command()(command)
app.add_typer(backup, name="backup")
app.add_typer(db, name="db")
app.add_typer(escrow, name="escrow")
