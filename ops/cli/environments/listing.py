"""`keel env list`: every environment that is known on this machine, and how old it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ops.cli.console import AsJson, stdout, table

if TYPE_CHECKING:
    from rich.table import Table

    from ops.state.known import Known


def list_(as_json: AsJson = False) -> None:
    """List the environments of this checkout, and others of this user's and Docker's, with their age."""
    from ops.state.known import environments

    found = environments()
    if as_json:
        print(json.dumps([facts(known) for known in found]))
        return
    stdout().print(shown("environments", found))


def shown(title: str, found: list[Known]) -> Table:
    """The environments as a table."""
    made = table(title, "name", "kind", "like", "age", "up", "network", "stack file")
    for known in found:
        made.add_row(
            known.name,
            known.kind or "?",
            known.like or "-",
            age(known.made),
            up(known),
            known.network or "-",
            where(known),
        )
    return made


def facts(known: Known) -> dict[str, object]:
    """The same for programs."""
    running, containers = known.containers
    return {
        "name": known.name,
        "kind": known.kind,
        "like": known.like,
        "made": known.made.isoformat() if known.made else None,
        "age_seconds": int(_age(known.made).total_seconds()) if known.made else None,
        "up": up(known) == "yes",
        "running": running,
        "containers": containers,
        "network": known.network,
        "stack_file": str(known.stack_file) if known.has_file else None,
        "in_state": known.in_state,
    }


def up(known: Known) -> str:
    """Whether its containers run; of machines that exist nothing is known here."""
    running, containers = known.containers
    if not containers:
        return f"no ({known.holds})" if known.items else "no"
    return "yes" if running == containers else f"{running} of {containers}"


def where(known: Known) -> str:
    """Where its stack file is."""
    if known.stack_file is None:
        return "not here"
    if not known.has_file:
        return f"gone: {known.stack_file}"
    return str(known.stack_file) if known.is_elsewhere else f"stacks/{known.stack_file.name}"


def age(made: datetime | None) -> str:
    """In the largest unit of which there are two."""
    if made is None:
        return "-"
    seconds = int(_age(made).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _age(made: datetime) -> timedelta:
    return datetime.now(UTC) - made
