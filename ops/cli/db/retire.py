"""`keel db retire`: remove a parked product for good, after a last dump."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import LEFT, Environment, confirm, print_lines, progress, refuse_unasked, stdout, table

if TYPE_CHECKING:
    from ops.products.retire import Survey


def retire(
    product: Annotated[str, typer.Argument(help="name of the product's database")],
    dump: Annotated[
        Path | None,
        typer.Option(help="where to write the last dump; default: ./<environment>-<product>-<UTC time>.dump"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask before the database is dropped")] = False,
    environment: Environment = "dev",
) -> None:
    """Dump the database of PRODUCT a last time, then drop it and its roles. The product must have left the stack file.

    Exit status: 0 removed, 1 not dropped or something is left, 2 refused and nothing was changed.
    """
    from ops.hosts.environment import open_environment
    from ops.products import retire as retiring

    refuse_unasked(product, yes, "drop it")
    with open_environment(environment) as session, session.superuser() as superuser:
        chosen, there = retiring.retirable(session, superuser, product)
        if there:
            target = dump or retiring.default_target(environment, product)
            _show(product, environment, target, retiring.survey(superuser, chosen))
            with progress(f"{product}: dump") as report:
                record = retiring.dump(session, superuser, chosen, target, report)
            stdout().print(
                f"{target}: {record.bytes:,} bytes, sha256 {record.sha256}, read back completely; its record is {target}.json"
            )
        else:
            stdout().print(f"{product}: the database is gone already; its roles are dropped next")
        confirm(product, yes, f"drop it from {environment}", f"{product}: nothing was dropped; the dump stays")
        with progress(f"{product}: drop") as report:
            left = retiring.drop(session, superuser, chosen, report)
    print_lines(*(f"left: {sentence}" for sentence in left), style="yellow")
    stdout().print(f"{product}: retired from {environment}")
    raise typer.Exit(LEFT if left else 0)


def _show(product: str, environment: str, target: Path, found: Survey) -> None:
    shown = table(f"{product} in {environment}, at revision {found.revision or 'none'}", "table", "rows", "KiB")
    for name, size in found.tables.items():
        shown.add_row(name, f"{size.rows:,}", f"{size.bytes // 1024:,}")
    stdout().print(shown)
    stdout().print(f"Keel dumps it to {target}, reads the dump back, then drops database and roles.")
