"""`keel db rollback`: undo a product's last migration, by its downgrade or from before it."""

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
    product: Annotated[str, typer.Argument(help="product, by its database's name")],
    how: Annotated[
        How | None, typer.Option(help="downgrade keeps later rows; restore brings the rows of before")
    ] = None,
    environment: Environment = "dev",
) -> None:
    """Undo PRODUCT's last migration: by its downgrade, or by restoring its database from just before it.

    Without --how the ways are shown and asked for. The other products are not touched.
    Exit status: 0 undone, 1 not wanted, 2 refused.
    """
    from ops.hosts.environment import open_environment
    from ops.products.lookup import product_of

    with open_environment(environment) as session:
        chosen = product_of(session.manifest, product)
        point = _last_point(session, chosen)
        before, after = _revisions(chosen, point["name"])
        tell(
            f"{product}: the last migration went from {before} to {after} at {point['time']}",
            f"  downgrade: the database stays, what {after} added goes with its rows; rows written since stay",
            "  restore:   the database of just before comes back; rows written since are in the one that is kept aside",
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
                kept = f"; what was there is the database {aside}" if aside else ""
    stdout().print(
        f"{product}: back at {before}{kept}. `make up` would migrate again; hold it there until the cause is gone: "
        f'pulumi config set --path keel:products.{product}.revision "{before}" -s {environment}',
        soft_wrap=True,
    )


def _last_point(session: Session, product: Product) -> dict[str, str]:
    """The restore point of the last migration. Raises NoWayBack."""
    from ops.backup import restore_points

    points = [point for point in restore_points.recorded(session) if point["name"].startswith(f"{product.name}-")]
    if not points or points[-1]["name"].split("-")[1] == "empty":
        raise NoWayBack(f"{product.name}: no migration since the database was made; there is nothing to go back to")
    return points[-1]


def _revisions(product: Product, name: str) -> tuple[str, str]:
    """From and to, whole ids; the name of the point holds what stands in front of them."""
    from db import migrate

    _, before, after, _ = name.rsplit("-", 3)
    return migrate.resolve(product, before), migrate.resolve(product, after)


def _asked(product: str) -> How:
    if not terminal():
        raise NobodyToAsk(f"there is no terminal to choose a way back for {product}", UNCHANGED, "Add --how")
    answer = typer.prompt("downgrade, restore, or anything else to leave it", err=True)
    if answer not in list(How):
        stdout().print("nothing was changed")
        raise typer.Exit(LEFT)
    return How(answer)
