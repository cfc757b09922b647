"""`keel drill`: restore the newest backup to a scratch server and check it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from environment.errors import KeelError
from ops.cli.console import AsJson, Environment, progress, stdout, table

FAILED = 3


class NoDrill(KeelError):
    """There is no report to show."""


def drill(
    last: Annotated[bool, typer.Option("--last", help="only show the newest report")] = False,
    list_: Annotated[bool, typer.Option("--list", help="only list the reports")] = False,
    environment: Environment = "dev",
    as_json: AsJson = False,
) -> None:
    """Restore the newest backup to a scratch server and check it, as cron does every week (PLAT-35, ADA-27).

    Compares it with a known moment; checks schema, row-level security, every table, index and page.
    The cluster is not touched.
    Exit status: 0 passed, 2 could not run, 3 failed.
    """
    from ops.backup import drill as drills
    from ops.hosts.environment import open_environment

    with open_environment(environment) as session:
        if last or list_:
            found = drills.reports(session)
        else:
            with progress(f"{environment}: drill") as report:
                found = [drills.run(session, report)]
    if not found:
        raise NoDrill(f"{environment}: there was no drill yet", advice="`./keel drill` runs one")
    if list_:
        _list(found, as_json)
        return
    print(json.dumps(found[-1], indent=2)) if as_json else stdout().print(found[-1]["text"], end="")
    raise typer.Exit(0 if found[-1]["result"] == "passed" else FAILED)


def _list(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent=2))
        return
    shown = table("Drills", "began (UTC)", "result", "backup", "known moment", "RTO s", "RPO s", "objections")
    for one in found:
        objections = sum(len(check["objections"]) for check in one["checks"])
        shown.add_row(
            one["began"], one["result"], str(one["backup"]), str(one["known"]), str(one["rto_seconds"]),
            str(one["rpo_seconds"]), str(objections),
        )  # fmt: skip
    stdout().print(shown)
