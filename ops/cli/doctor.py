"""`keel doctor`: can this machine run the environment? Works before anything exists, and changes nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli.console import Environment, stdout

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    environment: Environment = "dev",
    only: Annotated[list[str] | None, typer.Option(help="only this check; repeatable")] = None,
) -> None:
    """Check disk, memory, ports, kernel, Docker, clock and fsync latency.

    Exit status: 0 nothing fails, 1 something does.
    """
    from ops.hosts.environment import load_settings
    from ops.status.machine import examine

    findings = examine(environment, load_settings(environment), only or ())
    for finding in findings:
        stdout().print(f"{finding.level:<4}  {finding.check:<7} {finding.text}", style=STYLES[finding.level])
    raise typer.Exit(1 if any(finding.level == "fail" for finding in findings) else 0)
