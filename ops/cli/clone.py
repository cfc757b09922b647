"""`keel clone`: databases of another environment at a moment, masked, in place of this one's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import Environment, confirm, print_lines, progress, stdout

if TYPE_CHECKING:
    from ops.backup.clone import Clone


def clone(
    source: Annotated[str, typer.Option("--from", help="environment to copy from; it is only read")],
    to: Annotated[
        str, typer.Option("--to", help="latest, a time (ISO 8601), an LSN, a transaction, a restore point")
    ] = "latest",
    product: Annotated[
        list[str] | None, typer.Option(help="only this product; may be repeated. Default: every product that both list")
    ] = None,
    unmasked: Annotated[
        bool, typer.Option("--unmasked", help="do not mask personal data; refused if this environment protects less")
    ] = False,
    drop: Annotated[
        bool, typer.Option("--drop", help="do not keep the present databases; dev and ci never keep them")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    environment: Environment = "dev",
) -> None:
    """Replace the databases of this environment with those of another, at a moment, personal data masked (ADA-22).

    Personal data is masked on the backup host of the source, before anything leaves it. Shows first what it will replace.
    Exit status: 0 cloned, 1 you said no, 2 refused or failed.
    """
    carry_out(source, environment, to, product or [], yes=yes, masked=not unmasked, drop=drop)


def carry_out(
    source: str, target: str, to: str, products: list[str], *, yes: bool, masked: bool, into: bool = False, drop: bool = False,
    label: str | None = None, timeline: str = "latest", number: int | None = None,
) -> None:  # fmt: skip
    """Show what will happen, ask, do it, and report the result."""
    from ops.backup import clone as cloning
    from ops.hosts.environment import load_environment, open_environment

    # What the two stack files refuse, they refuse before a host is asked.
    manifests = [load_environment(name).manifest for name in (source, target)]
    cloning.choose(manifests[0], manifests[1], products, masked=masked, into=into)
    with open_environment(source) as origin, open_environment(target) as session:
        planned = cloning.plan(
            origin, session, to, products, masked=masked, into=into, drop=drop, label=label, timeline=timeline, number=number,
        )  # fmt: skip
        _show(source, target, planned)
        confirm(target, yes, "put them in place of its own")
        with progress(f"{target}: clone of {source}") as report:
            kept = cloning.apply(origin, session, planned, report)
        for name, (at, head) in cloning.heads(session, planned.products).items():
            aside = f"; what was there is the database {kept[name]}, which takes no connections" if kept[name] else ""
            state = "at head" if at == head else f"this checkout has {head}: make up ENV={target}"
            stdout().print(f"{name}: {source}'s of {planned.wanted.end}, revision {at}, {state}{aside}")


def _show(source: str, target: str, planned: Clone) -> None:
    newest = f"{planned.wanted.newest:%F %T} UTC" if planned.wanted.newest else "the end of the archive"
    where = f"masked on {source}'s backup host, by db/<product>/product.yaml" if planned.masked else "as it is"
    there = "kept under another name, closed to connections" if planned.keep else "dropped"
    lines = [
        f"{target}: {', '.join(planned.products)} become {source}'s of {planned.wanted.end}",
        f"  personal data:    {where}",
        f"  what is there:    {there}",
        f"  backup:           {planned.wanted.label} of {source}, {planned.wanted.bytes / 2**20:.0f} MiB; {source} is only read",
        f"  reach:            from {planned.wanted.earliest:%F %T} UTC to {newest}",
        f"  takes:            about {planned.wanted.seconds:.0f} s; {target} is away for the last one of them",
    ]
    if planned.left_out:
        lines.append(f"  left out:         {', '.join(planned.left_out)}, which {target} does not list")
    print_lines(*lines)
