"""`keel restore`: take an environment back to an earlier moment, in place or into another environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import Environment, confirm, print_lines, progress, stdout

if TYPE_CHECKING:
    from ops.backup.restore import Plan
    from ops.hosts.session import Session


def restore(
    to: Annotated[str, typer.Option("--to", help="latest, a time (ISO 8601), an LSN, a transaction, a restore point")],
    product: Annotated[
        str | None, typer.Option(help="only this product's database; the others are not touched")
    ] = None,
    table: Annotated[str | None, typer.Option(help="with --product: this table, into the schema `restored`")] = None,
    label: Annotated[
        str | None, typer.Option("--set", help="backup to start from; default: the newest that fits")
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(help="restore into this other environment, created by `make up`; this one is only read"),
    ] = None,
    timeline: Annotated[str, typer.Option(help="timeline to follow; default: the newest")] = "latest",
    number: Annotated[
        int | None,
        typer.Option("--repository", help="number of the repository to restore from; default: the nearest that can"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    environment: Environment = "dev",
) -> None:
    """Take the whole cluster, one product or one table back to a moment. Shows first what you will lose.

    The cluster is restored in place: the primary from the repository, the replicas from the primary.
    One product or one table comes from a scratch server, and the present data is kept.
    With --into, nothing here changes: the databases go into another environment that protects its data as well.
    If a restore was interrupted, run it again with the same target.
    Exit status: 0 restored, 1 you said no, 2 refused or failed.
    """
    from ops.backup import restore as restoring
    from ops.hosts.environment import open_environment

    if table and not product:
        raise typer.BadParameter("has no meaning without --product", param_hint="--table")
    if into:
        if table:
            raise typer.BadParameter("can only be restored in place. Leave out --into", param_hint="--table")
        from ops.cli.clone import carry_out

        named = [product] if product else []
        carry_out(
            environment, into, to, named, yes=yes, masked=False, into=True, label=label, timeline=timeline, number=number
        )  # fmt: skip
        return
    with open_environment(environment) as session:
        wanted = restoring.plan(session, to, label=label, timeline=timeline, number=number)
        if product:
            _part(session, environment, product, table, wanted, yes)
            return
        if before := restoring.interrupted(session):
            stdout().print(f"a restore to {before['end']} was interrupted; this one replaces it", style="yellow")
        _show(environment, wanted)
        confirm(environment, yes, "restore it")
        with progress(f"{environment}: restore") as report:
            restoring.apply(session, wanted, report)
    stdout().print(
        f"{environment}: restored to {wanted.end}. Run `pulumi up --refresh` to apply the migrations that it lacks"
    )


def _part(session: Session, environment: str, name: str, table: str | None, wanted: Plan, yes: bool) -> None:
    from ops.backup import partial_restore, restore
    from ops.products.lookup import product_of

    product_of(session.manifest, name)
    if wanted.newest is not None:
        restore.archive_all(session)
    if table:
        with progress(f"{name}: {table}") as report:
            there, rows = partial_restore.table(session, name, table, wanted, report)
        stdout().print(f"{name}: {table} as of {wanted.end} is now {there}, {rows} rows; nothing else was changed")
        return
    _show(f"{environment}'s product {name}", wanted)
    stdout().print("  the present database is kept under another name; other products are not touched")
    confirm(name, yes, "restore it")
    with progress(f"{name}: restore") as report:
        kept = partial_restore.product(session, name, wanted, report)
    aside = (
        f"The previous data is in the database {kept}, which accepts no connections. To remove it: "
        f"drop database {kept}. "
        if kept
        else ""
    )
    stdout().print(
        f"{name}: restored to {wanted.end}. {aside}Run `pulumi up --refresh` to apply the migrations that it lacks"
    )


def _show(what: str, wanted: Plan) -> None:
    newest = f"{wanted.newest:%F %T} UTC" if wanted.newest else "the end of the archive"
    print_lines(
        f"{what} goes back to {wanted.end}",
        f"  lost:      {wanted.lost}",
        f"  reach:     from {wanted.earliest:%F %T} UTC to {newest}",
        f"  backup:    {wanted.label} in repository {wanted.repository}, {wanted.bytes / 2**20:.0f} MiB",
        f"  takes:     about {wanted.seconds:.0f} s, in which nothing can be written",
        "  the present state stays in the repository on its own timeline",
    )
