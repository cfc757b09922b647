"""`keel psql`: an interactive session with a product's database."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli.console import Environment
from ops.products.psql import Role, Route, route, run


def psql(
    product: Annotated[str, typer.Argument(help="name of the product's database")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[-- PSQL-ARGS]")] = None,
    environment: Environment = "dev",
    role: Annotated[Role, typer.Option(help="who to be")] = Role.APP,
    direct: Annotated[bool, typer.Option("--direct", help="to the primary, past the pooler")] = False,
    pooled: Annotated[bool, typer.Option("--pooled", help="through the pooler (default of app and readonly)")] = False,
    replica: Annotated[bool, typer.Option("--replica", help="through the pooler to a replica, read only")] = False,
) -> None:
    """Open psql on PRODUCT's database. Exit status: psql's."""
    from ops.hosts.environment import open_environment
    from ops.products.lookup import product_of

    named = [way for way, wanted in zip(Route, (pooled, direct, replica), strict=True) if wanted]
    way = route(role, named)
    with open_environment(environment) as session:
        chosen = product_of(session.manifest, product)
        status = run(session, chosen, role, way, arguments or [])
    raise typer.Exit(status)
