"""`keel verify`: the suite under tests/verify against the running environment (PLAT-49)."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli.console import Environment, progress, stdout


def verify(
    environment: Environment = "dev",
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[-- PYTEST-ARGS]", show_default=False)] = None,
) -> None:
    """Check the running environment from outside and inside. Exit status: 0 as it should be, 1 not."""
    from ops.context import open_environment
    from ops.verification import run

    with open_environment(environment) as session, progress(f"verification of {environment}") as report:
        report("running tests/verify")
        failures = run(session, *(arguments or []))
    for failure in failures:
        stdout().print(failure, style="red")
    word = f"{len(failures)} check(s) failed" if failures else "verified"
    stdout().print(f"{environment}: {word}", style="red" if failures else "green")
    raise typer.Exit(1 if failures else 0)
