"""`keel db populate`: made-up rows of realistic number and shape, for performance tests (BAC-33, CF-26)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from environment.errors import UNCHANGED, KeelError
from ops.cli.console import AsJson, Environment, confirm, progress, stderr, stdout, table

if TYPE_CHECKING:
    from db.load_rows import Populated


class Size(StrEnum):
    """How many rows; large is the upper estimate of the product's document."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Guarded(KeelError):
    """The environment holds data of people: made-up rows do not go there."""


def populate(
    product: Annotated[str, typer.Argument(help="name of the product's database")],
    size: Annotated[
        Size, typer.Option(help="large: the upper estimates of the document; medium: a tenth; small: a hundredth")
    ],
    seed: Annotated[int, typer.Option(help="the same seed creates the same rows")] = 1,
    replace: Annotated[bool, typer.Option("--replace", help="first remove all rows that are there")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask before rows are removed")] = False,
    as_json: AsJson = False,
    environment: Environment = "dev",
) -> None:
    """Fill the tables of PRODUCT with made-up rows. Refused in staging and production, and if the tables hold rows."""
    from db import load_rows
    from db import populate as making
    from ops.hosts.environment import load_settings, open_environment
    from ops.products.lookup import product_of
    from ops.products.migrations import migrator

    kind = load_settings(environment).environment.kind
    if kind.guarded:
        raise Guarded(f"{environment} is {kind}: it does not accept made-up rows", UNCHANGED)
    many = making.Size(size)
    with open_environment(environment) as session:
        chosen = product_of(session.manifest, product)
        with migrator(session, chosen) as url:
            if replace and not yes:
                for name, count in load_rows.emptied(chosen, url, many).items():
                    stderr().print(f"{name}: {count} rows")
                confirm(product, yes, f"remove all of these from {environment}")
            with _bars() as show:
                done = load_rows.populate(chosen, url, many, seed=seed, progress=show, replace=replace)
    _print(f"{product}: {size}, seed {seed}", done, as_json)


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar per table on a terminal, else a line per table that is done."""
    console = stderr()
    if not console.is_terminal:
        with progress("populate") as report:
            yield lambda name, done, of: report(f"{name}: {of} rows") if done == of else None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, console=console) as shown:
        begun: dict[str, tuple[TaskID, float]] = {}

        def show(name: str, done: int, of: int) -> None:
            if name not in begun:
                begun[name] = shown.add_task(name, total=of, rate=""), time.monotonic()
            task, began = begun[name]
            seconds = time.monotonic() - began
            shown.update(task, completed=done, rate=f"{done / seconds:,.0f} rows/s" if done else "")

        yield show


def _print(title: str, done: dict[str, Populated], as_json: bool) -> None:
    if as_json:
        tables = [
            {"table": name, "rows": made.rows, "seconds": round(made.seconds, 3), "rows_per_second": round(made.rate)}
            for name, made in done.items()
        ]
        print(json.dumps({"tables": tables}, indent=2))
        return
    shown = table(title, "table", "rows", "seconds", "rows/s")
    for name, made in done.items():
        shown.add_row(name, f"{made.rows:,}", f"{made.seconds:.1f}", f"{made.rate:,.0f}")
    stdout().print(shown)
