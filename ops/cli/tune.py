"""`keel tune`: how large everything is, why, and how large it would be on other hosts. Asks no host."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ops.cli.console import AsJson, Environment, print_lines, stdout, table


def tune(
    environment: Environment = "dev",
    memory: Annotated[int | None, typer.Option(help="of every database host instead, MiB")] = None,
    cpus: Annotated[float | None, typer.Option(help="cores of every database host instead")] = None,
    as_json: AsJson = False,
) -> None:
    """Show each size with its reason, and with --memory or --cpus what it would be. Works without a running environment."""
    from ops.hosts.environment import load_settings
    from ops.status.sizes import imagined, lines, sums

    settings = load_settings(environment)
    asked = memory is not None or cpus is not None
    other = imagined(settings, memory, cpus) if asked else settings
    would_be = {line.name: line for line in lines(other)}
    if as_json:
        values = [
            line._asdict() | ({"instead": would_be[line.name].value} if asked else {}) for line in lines(settings)
        ]
        document = {"environment": environment, "sizes": values, "database_hosts": sums(other)}
        print(json.dumps(document, indent=2, sort_keys=True))
        return
    shown = table(f"Sizes of {environment}", "what", "value", *(["instead"] if asked else []), "from", "why")
    for line in lines(settings):
        then = would_be[line.name]
        instead = [then.value if then.value != line.value else ""] if asked else []
        shown.add_row(line.name, line.value, *instead, line.origin, then.reason)
    stdout().print(shown)
    for name, sizes in sums(other).items():
        print_lines(
            f"{name}: {sizes['services']} MiB for services and {sizes['postgresql']} MiB for PostgreSQL, of {sizes['memory']} MiB"
        )
