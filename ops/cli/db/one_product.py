"""`keel db migrate` and `keel db reset`: one product's database to its revision, or made from nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import AsJson, Environment, confirm, print_lines, progress, refuse_unasked, stdout

if TYPE_CHECKING:
    from ops.steps.one_product import Outcome

DIFFERENT = 3
"""Exit status of what compares a database with this checkout."""

Product = Annotated[str, typer.Argument(help="name of the product's database")]
OneOrAll = Annotated[str | None, typer.Argument(help="name of the database of a product; default: all products")]


def migrate(product: Product, environment: Environment = "dev", as_json: AsJson = False) -> None:
    """Bring PRODUCT, and no other, to its head or to where the stack holds it, as `pulumi up` does.

    Roles, extensions and settings come with `make up`. Exit status: 0 there, 2 it failed, 3 there, but the models differ.
    """
    from ops.hosts.environment import open_environment
    from ops.steps import one_product

    with open_environment(environment) as session, progress(f"{product}: migrate") as report:
        done = one_product.migrate(session, product, report)
    came = f"at {done.after} already" if done.before == done.after else f"{done.before or 'empty'} → {done.after}"
    _print(product, environment, done, came, as_json)


def reset(
    product: Product,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask before the database is dropped")] = False,
    environment: Environment = "dev",
    as_json: AsJson = False,
) -> None:
    """Drop the database of PRODUCT with all its rows, and make it from nothing as `pulumi up` does. Kinds dev and ci only.

    Run it again where it was interrupted. Exit status: 0 reset, 1 you said no, 2 refused or failed, 3 reset, but the models differ.
    """
    from ops.hosts.environment import open_environment
    from ops.steps import one_product

    refuse_unasked(product, yes, "reset it")
    with open_environment(environment) as session:
        one_product.resettable(session, product)
        if not yes:
            held = one_product.held(session, product)
            print_lines(
                f"{product} in {environment}: {held.bytes // 1024:,} KiB"
                if held.there
                else f"{product} in {environment}: the database is gone already",
                f"  its sessions end: {', '.join(held.sessions) or 'there is none'}",
                "  it is dropped with every row, then made as new: provisioned, migrated, with its reference rows",
                "  roles, passwords, pools, backups, scratch copies and the other products stay",
            )
        confirm(product, yes, f"reset it in {environment}")
        with progress(f"{product}: reset") as report:
            done = one_product.reset(session, product, report)
    _print(product, environment, done, f"new, at {done.after}", as_json)


def _print(product: str, environment: str, done: Outcome, came: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"environment": environment, "product": product, **done._asdict()}, indent=2))
    else:
        if done.ended:
            stdout().print(f"{product}: ended sessions: {', '.join(done.ended)}")
        print_lines(*(f"{product}: differs: {line}" for line in done.differences), style="yellow")
        compared = f"{len(done.differences)} difference(s)" if done.differences else "the models match"
        stdout().print(f"{product}: {came}; {compared}; {done.seconds:.1f} s")
    raise typer.Exit(DIFFERENT if done.differences else 0)
