"""`keel db rollback`: undo the last migration of a product, by its downgrade or by a restore."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from environment.errors import UNCHANGED, KeelError
from ops.cli.console import LEFT, Environment, NobodyToAsk, progress, stdout, tell, terminal

if TYPE_CHECKING:
    from environment.products import Product
    from ops.hosts.session import Session


class How(StrEnum):
    """Ways back."""

    DOWNGRADE = "downgrade"
    RESTORE = "restore"


class NoWayBack(KeelError):
    """There is no migration to undo."""


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
    from ops.hosts.environment import open_environment
    from ops.products.lookup import product_of

    with open_environment(environment) as session:
        chosen = product_of(session.manifest, product)
        point = _last_point(session, chosen)
        before, after = _revisions(chosen, point["name"])
        tell(
            f"{product}: the last migration went from {before} to {after} at {point['time']}",
            f"  downgrade: the database stays. What {after} added is removed with its rows. Rows written since stay",
            "  restore:   the database comes back as it was just before. Rows written since stay in a kept copy",
        )
        way = how or _asked(product)
        with progress(f"{product}: {way.value}") as report:
            if way is How.DOWNGRADE:
                from db import migrate
                from ops.hosts import lock
                from ops.steps.migration import migrator

                with lock.held(session, [session.leader().name]), migrator(session, chosen) as url:
                    migrate.downgrade(chosen, url, before)
                kept = ""
            else:
                from ops.backup import partial_restore, restore

                restore.archive_all(session)
                wanted = restore.plan(session, point["name"])
                aside = partial_restore.product(session, product, wanted, report)
                kept = f"; the previous data is in the database {aside}" if aside else ""
    stdout().print(
        f"{product}: back at {before}{kept}. `make up` would migrate again. To hold it there until the cause is gone: "
        f'pulumi config set --path keel:products.{product}.revision "{before}" -s {environment}'
    )


def _last_point(session: Session, product: Product) -> dict[str, str]:
    """The restore point of the last migration. Raises NoWayBack."""
    from ops.backup import restore_points

    points = [point for point in restore_points.recorded(session) if point["name"].startswith(f"{product.name}-")]
    if not points or points[-1]["name"].split("-")[1] == "empty":
        raise NoWayBack(f"{product.name}: no migration ran since the database was created; there is nothing to undo")
    return points[-1]


def _revisions(product: Product, name: str) -> tuple[str, str]:
    """From and to, whole ids. The name of the restore point holds only their beginnings."""
    from db import migrate

    _, before, after, _ = name.rsplit("-", 3)
    return migrate.resolve(product, before), migrate.resolve(product, after)


def _asked(product: str) -> How:
    if not terminal():
        raise NobodyToAsk(f"there is no terminal to ask how to undo the migration of {product}", UNCHANGED, "Add --how")
    answer = typer.prompt("downgrade or restore; anything else leaves it as it is", err=True)
    if answer not in list(How):
        stdout().print("nothing was changed")
        raise typer.Exit(LEFT)
    return How(answer)
