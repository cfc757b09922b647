"""All commands, and how their errors are shown."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from environment.errors import explained
from ops.cli.console import UNREADABLE, print_error
from processes.command import INTERRUPTED

COMMANDS = (
    "summary", "status", "switchover", "failover", "update", "restore", "clone", "drill", "doctor", "tune", "psql", "verify", "converge", "drift", "adopt", "env",
    "ca", "backup", "db", "escrow",
    "summary", "status", "who", "switchover", "failover", "update", "restore", "clone", "drill", "doctor", "psql", "verify", "converge", "drift", "adopt", "env", "ca",
    "backup", "db", "escrow",
)  # fmt: skip
"""In the order in which the help lists them. Each is a module of this package that holds a function of its name, or a
group of commands as `app`."""


class Keel(TyperGroup):
    """Imports only the command that is asked for. Errors that Keel understands end with one sentence; any other keeps
    its traceback."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: dict[str, Any] = dict.fromkeys(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - typer's signature
        """The command ``cmd_name``, None where there is none."""
        if cmd_name not in self.commands:
            return None
        module, holder = import_module(f"ops.cli.{cmd_name}"), typer.Typer()
        if hasattr(module, "app"):
            holder.add_typer(module.app, name=cmd_name)
        else:
            holder.command(cmd_name)(getattr(module, cmd_name))
        return typer.main.get_group(holder).commands[cmd_name]

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print_error("interrupted. What was done stays; run it again")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            sentence = explained(error)
            if sentence is None:
                raise
            print_error(sentence)
            raise typer.Exit(UNREADABLE) from error


app = typer.Typer(cls=Keel, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def keel(
    environment: Annotated[str, typer.Option("--env", "-e", envvar="ENV", help="environment (stack file)")] = "dev",
) -> None:
    """Show, check and operate an environment of Keel.

    Exit status 2: the command could not answer (the environment is not up, a name is unknown, a host is unreachable).
    """
    # Commands read the same variable, so that --env may stand before or after the command.
    os.environ["ENV"] = environment
