"""`keel db rollback`: undo the last migration of a product, by its downgrade or by a restore."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from environment.errors import UNCHANGED
from ops.cli.console import LEFT, Environment, NobodyToAsk, print_lines, progress, stdout, terminal


class How(StrEnum):
    """Ways back."""

    DOWNGRADE = "downgrade"
    RESTORE = "restore"


def rollback(
    product: Annotated[str, typer.Argument(help="name of the product's database")],
    how: Annotated[
        How | None, typer.Option(help="downgrade keeps later rows; restore brings the rows of before")
    ] = None,
    environment: Environment = "dev",
) -> None:
    """Undo the last migration of PRODUCT: by its downgrade, or by a restore of its database to just before it.

    Without --how, shows both and asks. Other products are not touched.
    Exit status: 0 undone, 1 you said no, 2 refused.
    """
    from ops.backup import rollback as undoing
    from ops.hosts.environment import open_environment
    from ops.products.lookup import product_of

    with open_environment(environment) as session:
        chosen = product_of(session.manifest, product)
        undone = undoing.last(session, chosen)
        print_lines(
            f"{product}: the last migration went from {undone.before} to {undone.after} at {undone.time}",
            f"  downgrade: the database stays. What {undone.after} added is removed with its rows. Rows written since stay",
            "  restore:   the database comes back as it was just before. Rows written since stay in a kept copy",
        )
        way, aside = how or _asked(product), ""
        with progress(f"{product}: {way.value}") as report:
            if way is How.DOWNGRADE:
                undoing.downgrade(session, chosen, undone)
            else:
                aside = undoing.restored(session, chosen, undone, report)
    kept = f"; the previous data is in the database {aside}" if aside else ""
    stdout().print(
        f"{product}: back at {undone.before}{kept}. `make up` would migrate again. To hold it there until the cause is gone: "
        f'pulumi config set --path keel:products.{product}.revision "{undone.before}" -s {environment}'
    )


def _asked(product: str) -> How:
    if not terminal():
        raise NobodyToAsk(f"there is no terminal to ask how to undo the migration of {product}", UNCHANGED, "Add --how")
    answer = typer.prompt("downgrade or restore; anything else leaves it as it is", err=True)
    if answer not in list(How):
        stdout().print("nothing was changed")
        raise typer.Exit(LEFT)
    return How(answer)
