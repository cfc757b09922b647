"""`keel env remove`: environments that `keel env new` made and someone forgot."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from environment.errors import UNCHANGED, Refused
from ops.cli.console import confirm, print_lines, progress, stderr, stdout

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def remove(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="environments")] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", help="instead of names: those that `keel env new` made longer ago, such as 36h, 2d"
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Remove environments that `keel env new` made, up or not, with all their data: also where the stack file is gone."""
    from ops.cli.environments.listing import shown
    from ops.state import remove as removing
    from ops.state.known import environments

    if bool(names) == bool(older_than):
        raise Refused("name environments, or say --older-than, but not both", UNCHANGED)
    if older_than:
        before = datetime.now(UTC) - _duration(older_than)
        names = [known.name for known in environments() if removing.forgotten(known, before)]
    found = removing.chosen(names or [])
    if not found:
        print_lines(f"no environment that ./keel env new made is older than {older_than}")
        return
    asked = found[0].name if len(found) == 1 else str(len(found))
    deed = "remove it with all its data" if len(found) == 1 else "remove these environments with all their data"
    stdout().print(shown("to be removed", found))
    for known in found:
        if not known.has_file and not known.is_copy:
            stderr().print(
                f"{known.name}: no stack file is here and none is recorded, so its kind cannot be known", style="yellow"
            )
    confirm(asked, yes, deed)
    with progress("remove") as report:
        for known in found:
            removing.remove(known, report)
    print_lines(*(f"{known.name}: removed" for known in found))


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([mhdw])", text)
    if not found:
        raise Refused(f"--older-than {text}: a number and one of {', '.join(UNITS)}, such as 2d", UNCHANGED)
    return timedelta(**{UNITS[found[2]]: int(found[1])})
