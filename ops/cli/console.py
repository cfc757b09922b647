"""What people see: text on standard output, progress and errors on standard error. Colours only on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from environment.errors import UNCHANGED, KeelError
from environment.report import Report
from environment.visible import visible

UNREADABLE = 2
"""Exit status: the environment is not up, or the command could not find the answer."""

LEFT = 1
"""Exit status: the operator said no, or something is left."""

Environment = Annotated[str, typer.Option("--env", "-e", envvar="ENV", help="environment (stack file)")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


class NobodyToAsk(KeelError):
    """A command has to ask and there is no terminal, or a script did not confirm."""


class Shown(Console):
    """Prints names and messages of others as text, whatever is in them: no command reaches the terminal (W0)."""

    def render_str(self, text: str, **options: Any) -> Any:
        """A cell, or what is printed."""
        return super().render_str(visible(text), **options)


def stdout() -> Console:
    """Standard output. A sentence stays in one piece, because someone may copy it; a table is folded to the terminal,
    or to 200 columns in a pipe, which has no width."""
    console = Shown(markup=False, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 200
    return console


def stderr() -> Console:
    """Standard error, for progress and errors."""
    return Shown(stderr=True, markup=False, highlight=False, soft_wrap=True)


def table(title: str, *columns: str) -> Table:
    """An empty table as every command prints it."""
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, title_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def print_error(sentence: str) -> None:
    """Print an error."""
    stderr().print(f"error: {sentence}", style="red")


def print_lines(*lines: str, style: str | None = None) -> None:
    """Print lines on standard output; a terminal breaks them, nothing else does."""
    for line in lines:
        stdout().print(line, style=style)


def terminal() -> bool:
    """True if there is a terminal to ask on."""
    return sys.stdin.isatty()


def refuse_unasked(name: str, yes: bool, deed: str) -> None:
    """Raise NobodyToAsk where :func:`confirm` would, before anything has begun."""
    if not yes and not terminal():
        raise NobodyToAsk(
            f"there is no terminal to ask on: someone has to type {name} to {deed}", UNCHANGED, "Add --yes"
        )


def confirm(name: str, yes: bool, deed: str, otherwise: str = "nothing was changed") -> None:
    """Have ``name`` typed before ``deed`` ("restore it"), unless ``yes``.

    Raises NobodyToAsk where there is no terminal; anything else typed says ``otherwise`` and ends with LEFT.
    """
    refuse_unasked(name, yes, deed)
    if not yes and typer.prompt(f"Type {name} to {deed}", err=True) != name:
        stderr().print(otherwise)
        raise typer.Exit(LEFT)


@contextmanager
def progress(what: str) -> Iterator[Report]:
    """Show the progress of work: on a terminal one live line with the elapsed time, else one line each."""
    console = stderr()
    if not console.is_terminal:
        began = time.monotonic()
        yield lambda text: console.print(f"[{time.monotonic() - began:6.1f} s] {text}")
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda text: bar.update(task, description=text)
