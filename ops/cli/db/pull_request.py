"""`keel db rehearse`, `keel db tenants` and `keel db compare`: what a change does, tried on throwaway databases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import AsJson, Environment, print_lines, progress, stdout, table
from ops.cli.db.one_product import DIFFERENT, OneOrAll

if TYPE_CHECKING:
    from db.compare import Compared
    from db.rehearse import Rehearsal

OneOrChanged = Annotated[
    str | None,
    typer.Argument(help="name of the database of a product; default: all of which a file differs from the base"),
]
Since = Annotated[
    str, typer.Option("--base", envvar="KEEL_BASE", help="branch or commit; compared is where this checkout left it")
]
BRANCH = "origin/main"
RATIO, FLOOR = 1.5, 0.3
"""Between equal databases 2 of 622 rounds went beyond both, on two cores with ten processes waiting, and never four after another."""
UNTOUCHED = "no file of a product's database differs from the base: nothing to try"


def rehearse(
    product: OneOrChanged = None, base: Since = BRANCH, environment: Environment = "dev", as_json: AsJson = False
) -> None:
    """Take a throwaway database, made by the base's files and with rows, up to this checkout, down and up again. Kinds dev and ci only.

    At head it must be as `./keel db check` wants it, and after each way down as before that way up. Where no revision is new, the
    newest goes down and up. Exit status: 0 it is, 2 it could not be tried, 3 it is not.
    """
    from ops.hosts.environment import open_environment
    from ops.products import rehearsal
    from ops.products.base import base_of

    found = {}
    with base_of(base) as files, open_environment(environment) as session, progress("rehearse") as report:
        for name in [product] if product else rehearsal.changed(session, files):
            found[name] = rehearsal.rehearsed(session, name, files, report)
    if as_json:
        print(json.dumps({name: _rehearsal(each) for name, each in found.items()}, indent=2))
    elif not found:
        stdout().print(UNTOUCHED)
    else:
        for name, each in found.items():
            print_lines(*(f"{name}: {sentence}" for sentence in each.findings), style="yellow")
            what = f"{len(each.steps)} new revision(s)" if each.new else "no new revision; the newest"
            stdout().print(f"{name}: {what} up, down and up again: {len(each.findings)} difference(s)")
    raise typer.Exit(DIFFERENT if any(each.findings for each in found.values()) else 0)


def _rehearsal(done: Rehearsal) -> dict[str, object]:
    return {"revisions": [step.revision for step in done.steps], "new": done.new, "findings": done.findings}


def tenants(product: OneOrAll = None, environment: Environment = "dev", as_json: AsJson = False) -> None:
    """Try on a throwaway copy of this checkout, as the application, what one tenant can do with another's rows. Kinds dev and ci only.

    Every table, command and identity, and the ways around: the verification's matrix. Exit status: 0 nothing, 2 it could not be
    tried, 3 something.
    """
    from ops.hosts.environment import open_environment
    from ops.products import rehearsal

    found = {}
    with open_environment(environment) as session, progress("tenants") as report:
        for name in [product] if product else session.manifest.products:
            found[name] = rehearsal.two_tenants(session, name, report)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        for name, sentences in found.items():
            print_lines(*(f"{name}: {sentence}" for sentence in sentences or ()), style="yellow")
            said = "has no tenants" if sentences is None else f"two tenants: {len(sentences)} finding(s)"
            stdout().print(f"{name}: {said}")
    raise typer.Exit(DIFFERENT if any(found.values()) else 0)


def compare(
    product: OneOrChanged = None,
    base: Since = BRANCH,
    ratio: Annotated[float, typer.Option(min=1.0, help="slower: by this factor and by --floor")] = RATIO,
    floor: Annotated[float, typer.Option(min=0.0, help="slower: by so many milliseconds and by --ratio")] = FLOOR,
    environment: Environment = "dev",
    as_json: AsJson = False,
) -> None:
    """Measure the queries of db/PRODUCT/queries.yaml on two throwaway databases in turns: the base's and this checkout's. Kinds dev
    and ci only.

    Both have the rows of `./keel db populate --size medium`. Exit status: 0 none is slower or has lost its index, 2 it could not be
    tried, 3 one is or has.
    """
    from ops.hosts.environment import open_environment
    from ops.products import rehearsal
    from ops.products.base import base_of

    found = {}
    with base_of(base) as files, open_environment(environment) as session, progress("compare") as report:
        for name in [product] if product else rehearsal.changed(session, files):
            found[name] = rehearsal.compared(session, name, files, report, ratio=ratio, floor=floor)
    if as_json:
        print(json.dumps({name: [_compared(each) for each in queries] for name, queries in found.items()}, indent=2))
    elif not found:
        stdout().print(UNTOUCHED)
    else:
        for name, queries in found.items():
            _print(name, queries)
    raise typer.Exit(DIFFERENT if any(each.verdict.worse for queries in found.values() for each in queries) else 0)


def _compared(one: Compared) -> dict[str, object]:
    return {
        "query": one.query,
        "verdict": one.verdict.value,
        "before_ms": _rounded(one.before_ms),
        "now_ms": _rounded(one.now_ms),
        "ratio": _rounded(one.ratio),
        "indexes_before": one.indexes_before,
        "indexes": one.indexes,
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)


def _print(name: str, queries: list[Compared]) -> None:
    if not queries:
        stdout().print(f"{name}: nothing to compare: the base has no such product, or db/{name}/queries.yaml no query")
        return
    shown = table(f"queries of {name}", "query", "before ms", "now ms", "ratio", "indexes", "verdict")
    for one in queries:
        numbers = (one.before_ms, one.now_ms, one.ratio)
        cells = ("" if number is None else f"{number:.2f}" for number in numbers)
        shown.add_row(one.query, *cells, ", ".join(one.indexes), one.verdict.value)
    stdout().print(shown)
