"""`keel db`: compare, migrate, rehearse, reset, copy, seed, fill, extend and retire the databases of the products."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from ops.cli.console import AsJson, Environment, print_error, progress, stdout
from ops.cli.db import one_product, populate, pull_request, retire, rollback, scratch
from ops.cli.db.one_product import DIFFERENT, OneOrAll

app = typer.Typer(
    no_args_is_help=True,
    help="Compare, migrate, rehearse, reset, copy, seed, fill, extend and retire the databases of the products.",
)
app.command()(one_product.migrate)
app.command()(one_product.reset)
app.command()(scratch.scratch)
app.command()(populate.populate)
app.command()(retire.retire)
app.command()(rollback.rollback)
app.command()(pull_request.rehearse)
app.command()(pull_request.tenants)
app.command()(pull_request.compare)


class SeedSet(StrEnum):
    """Rows that can be inserted (PLAT-30)."""

    REFERENCE = "reference"
    DEMO = "demo"


@app.command()
def check(
    product: OneOrAll = None,
    environment: Environment = "dev",
    as_json: AsJson = False,
) -> None:
    """Compare heads, models, functions, policies, grants, catalogue and indexes with this checkout (PLAT-29, JEEX-26).

    Also asks the release gate, which refuses production while a truncated column name exists (RIQ-26).
    Exit status: 0 the same, 3 different.
    """
    from db.check import everything
    from ops.hosts.environment import open_environment
    from ops.products.lookup import product_of
    from ops.products.migrations import migrator

    found = {}
    with open_environment(environment) as session, progress(f"{environment}: databases") as report:
        for name in [product] if product else session.manifest.products:
            chosen = product_of(session.manifest, name)
            report(name)
            with migrator(session, chosen) as url:
                found[name] = everything(chosen, url, session.manifest.products[name].limits.revision)
    if as_json:
        print(json.dumps({name: [finding._asdict() for finding in lines] for name, lines in found.items()}, indent=2))
    else:
        for name, lines in found.items():
            for line in lines:
                stdout().print(f"{name}: {line.aspect}: {line.sentence}", style="yellow")
                if line.undo:
                    stdout().print(f"  undone by: {line.undo}")
            stdout().print(f"{name}: {len(lines)} difference(s)" if lines else f"{name}: matches this checkout")
    raise typer.Exit(DIFFERENT if any(found.values()) else 0)


@app.command()
def seed(
    which: Annotated[SeedSet, typer.Option("--set", help="demo rows are refused in staging and production")],
    product: OneOrAll = None,
    environment: Environment = "dev",
) -> None:
    """Insert a set of seed rows. Running it again changes nothing (PLAT-30)."""
    from db import migrate
    from ops.hosts.environment import open_environment
    from ops.products.lookup import product_of
    from ops.products.migrations import migrator

    with open_environment(environment) as session:
        guarded = session.manifest.identity.kind.guarded
        for name in [product] if product else session.manifest.products:
            chosen = product_of(session.manifest, name)
            with migrator(session, chosen) as url:
                done = migrate.seed(chosen, url, which.value, production=guarded)
            stdout().print(f"{name}: {which.value} rows are there" if done else f"{name}: has no {which.value} rows")


@app.command()
def revision(
    product: Annotated[str, typer.Argument(help="name of the product's database")],
    name: Annotated[str, typer.Argument(help="what it does, in a few words")],
    environment: Environment = "dev",
) -> None:
    """Write a new revision for PRODUCT: the difference between the models and the database at head (BAC-30).

    Exit status 1: NAME has no letter and no digit.
    """
    from db import new_revision
    from ops.hosts.environment import open_environment
    from ops.products.lookup import product_of
    from ops.products.migrations import migrator

    slug = new_revision.slug(name)
    if not slug:
        print_error(
            f"no revision can be called {name!r}: it has no letter a-z and no digit. Nothing was written. "
            "Say in a few words what the revision does, such as: add tags"
        )
        raise typer.Exit(1)
    with open_environment(environment) as session:
        chosen = product_of(session.manifest, product)
        with migrator(session, chosen) as url:
            made = new_revision.write(chosen, url, name)
    stdout().print(f"{product}: migrations/{product}/versions/{made}.py is written; read it before you use it")
