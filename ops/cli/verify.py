"""`keel verify`: the suite under tests/verify against the running environment (PLAT-49)."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli.console import Environment, progress, stdout


def verify(
    environment: Environment = "dev",
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[-- PYTEST-ARGS]")] = None,
) -> None:
    """Check the running environment from outside and inside.

    Exit status: 0 all checks passed, 1 not.
    """
    from ops.hosts.environment import open_environment
    from ops.steps.verification import run

    with open_environment(environment) as session, progress(f"verification of {environment}") as report:
        report("running tests/verify")
        result = run(session, *(arguments or []))
    for failure in result.failures:
        stdout().print(failure, style="red")
    stdout().print(str(result))
    word = "not verified" if result.failures else "verified" if not arguments else "only a part was verified"
    stdout().print(f"{environment}: {word}", style="red" if result.failures else "green")
    raise typer.Exit(1 if result.failures else 0)
