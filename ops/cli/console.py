"""What people see: text on standard output, progress and errors on standard error. Colours only on a terminal."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from environment.report import Report

UNREADABLE = 2
"""Exit status: the environment is not up, or what was asked for cannot be told."""

OWN = frozenset({"environment", "ops", "db", "roles", "toolchain"})
"""Packages whose exceptions are sentences for the operator."""

Environment = Annotated[str, typer.Option("--env", "-e", envvar="ENV", help="environment (stack file)")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


def stdout() -> Console:
    """Standard output. A pipe has no width: nothing is folded there."""
    console = Console(markup=False, highlight=False)
    return console if console.is_terminal else Console(markup=False, highlight=False, width=200)


def stderr() -> Console:
    """Standard error, for progress and errors."""
    return Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def table(title: str, *columns: str) -> Table:
    """An empty table as every command prints it."""
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, title_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def tell_error(sentence: str) -> None:
    """Print an error."""
    stderr().print(f"error: {sentence}", style="red")


def explained(error: Exception) -> str | None:
    """The sentence for an error that is Keel's own or comes from a server; None for a mistake in Keel."""
    origin = type(error).__module__.partition(".")[0]
    if origin in OWN:
        return str(error)
    if origin == "psycopg":
        return f"the database refused: {str(error).strip()}"
    if isinstance(error, subprocess.CalledProcessError):
        return f"a command ended with status {error.returncode}: {(error.stderr or '').strip()}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"a command did not end within {error.timeout:.0f} s; look at `./keel status`"
    return None


@contextmanager
def progress(what: str) -> Iterator[Report]:
    """Tell how long work comes along: a live line with the elapsed time on a terminal, else a line each."""
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
