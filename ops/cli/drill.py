"""`keel drill`: restore the newest backup beside the cluster and examine it."""

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
    last: Annotated[bool, typer.Option("--last", help="show the newest report, carry out nothing")] = False,
    list_: Annotated[bool, typer.Option("--list", help="list the reports there are, carry out nothing")] = False,
    environment: Environment = "dev",
    as_json: AsJson = False,
) -> None:
    """Prove the newest backup, as cron does every week: restored beside the cluster, compared with a known moment, checked in
    schema, row-level security, every table, index and page (PLAT-35, ADA-27). The cluster is not touched.

    Exit status: 0 passed, 2 not carried out, 3 failed.
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
        raise NoDrill(f"{environment}: there was no drill yet", advice="`./keel drill` carries one out")
    if list_:
        _list(found, as_json)
        return
    print(json.dumps(found[-1], indent=2)) if as_json else stdout().print(found[-1]["text"], end="", soft_wrap=True)
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
