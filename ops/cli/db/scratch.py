"""`keel db scratch`: a throwaway copy of a product's database for a test run."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from environment.place import Place
from ops.cli.console import AsJson, Environment, progress, stderr, stdout, table

if TYPE_CHECKING:
    from db.scratch import Copy
    from ops.hosts.session import Session


def scratch(
    product: Annotated[str, typer.Argument(help="name of the product's database")],
    drop: Annotated[list[str] | None, typer.Option(help="drop this copy; repeatable")] = None,
    drop_all: Annotated[bool, typer.Option("--drop-all", help="drop all copies of PRODUCT")] = False,
    show: Annotated[bool, typer.Option("--list", help="list the copies of PRODUCT with their age")] = False,
    place: Annotated[
        Place | None, typer.Option("--from", help="where the tests run: docker, host or machine, as of `./keel env`")
    ] = None,
    environment: Environment = "dev",
    as_json: AsJson = False,
) -> None:
    """Make a throwaway copy of PRODUCT's database at head, with its reference rows, and print its URL. Kinds dev and ci only.

    The URL is the application's and leads past the pooler; --json has those of the other logins too. Standard output holds
    nothing else. Copies that are older than a day are dropped when the next one is made.
    """
    from ops.hosts.environment import open_environment

    if sum((bool(drop), drop_all, show)) > 1:
        raise typer.BadParameter("choose one of --drop, --drop-all, --list")
    with open_environment(environment) as session:
        if drop or drop_all:
            _drop(session, product, None if drop_all else drop, as_json)
        elif show:
            _list(session, product, as_json)
        else:
            _make(session, product, place, as_json)


def _make(session: Session, product: str, place: Place | None, as_json: bool) -> None:
    from ops.products import scratch as copies

    began = time.monotonic()
    with progress(f"{product}: scratch copy") as report:
        made = copies.make(session, product, place, report)
    seconds = time.monotonic() - began
    for copy in made.dropped:
        stderr().print(f"dropped: {copy.name}, {_age(copy)} old")
    if made.there:
        stderr().print(
            f"{len(made.there)} more, the oldest {_age(made.there[0])} old: ./keel db scratch {product} --list"
        )
    if as_json:
        print(json.dumps({"name": made.name, "urls": made.urls, "seconds": round(seconds, 3)}, indent=2))
    else:
        stderr().print(f"{made.name}: made in {seconds:.1f} s; drop it: ./keel db scratch {product} --drop {made.name}")
        print(made.urls["application"])


def _drop(session: Session, product: str, wanted: list[str] | None, as_json: bool) -> None:
    from ops.products import scratch as copies

    dropped = copies.drop(session, product, wanted)
    if as_json:
        print(json.dumps({"dropped": dropped}, indent=2))
    else:
        stdout().print(f"{product}: dropped {', '.join(dropped) or 'nothing: there is no copy'}")


def _list(session: Session, product: str, as_json: bool) -> None:
    from ops.products import scratch as copies

    found = copies.listed(session, product)
    if as_json:
        rows = [
            {
                "name": copy.name,
                "made": copy.made.isoformat(),
                "age_seconds": round(copy.age.total_seconds()),
                "bytes": copy.bytes,
                "sessions": copy.sessions,
            }
            for copy in found
        ]
        print(json.dumps(rows, indent=2))
        return
    shown = table(f"scratch copies of {product}", "name", "age", "KiB", "sessions")
    for copy in found:
        shown.add_row(copy.name, _age(copy), f"{copy.bytes // 1024:,}", str(copy.sessions))
    stdout().print(shown)


def _age(copy: Copy) -> str:
    """In minutes, or hours and minutes."""
    hours, minutes = divmod(max(0, round(copy.age.total_seconds() / 60)), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
