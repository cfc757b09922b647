"""`keel verify`: the suite under tests/verify against the running environment (PLAT-49), or the attempts at its walls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import AsJson, Environment, progress, stdout, table

if TYPE_CHECKING:
    from ops.attack.attempts import Result


def verify(
    environment: Environment = "dev",
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[-- PYTEST-ARGS | WALLS]")] = None,
    attack: Annotated[
        bool,
        typer.Option(
            "--attack", help="try to get through each wall, from the environment's own hosts; changes nothing"
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check the running environment from outside and inside; with --attack, try each weakness and each door.

    Exit status: 0 all checks passed, or every attempt was refused; 1 not; 2 something could not be tried.
    """
    from ops.hosts.environment import open_environment
    from ops.steps.verification import run

    if attack:
        raise typer.Exit(_attack(environment, arguments or [], as_json))
    with open_environment(environment) as session, progress(f"verification of {environment}") as report:
        report("running tests/verify")
        result = run(session, *(arguments or []))
    for failure in result.failures:
        stdout().print(failure, style="red")
    stdout().print(str(result))
    word = "not verified" if result.failures else "verified" if not arguments else "only a part was verified"
    stdout().print(f"{environment}: {word}", style="red" if result.failures else "green")
    raise typer.Exit(1 if result.failures else 0)


def _attack(environment: str, walls: list[str], as_json: bool) -> int:
    from ops.attack.attacker import attacking
    from ops.attack.attempts import carry_out_all, chosen, exit_status
    from ops.hosts.environment import open_environment

    wanted = chosen(walls)
    with open_environment(environment) as session, attacking(session) as attacker, progress("attack") as report:
        results = carry_out_all(wanted, attacker, report)
    if as_json:
        print(json.dumps([result.document for result in results], indent=2))
    else:
        _print(environment, results)
    return exit_status(results)


def _print(environment: str, results: list[Result]) -> None:
    shown = table(f"attempts at the walls of {environment}", "wall", "attempt", "tried", "succeeded", "it proves")
    for (wall, name, proves, *_), tries in results:
        through = sum(bool(each.succeeded) for each in tries)
        shown.add_row(wall, name.replace("_", " "), str(len(tries)), str(through), proves)
    stdout().print(shown)
    for result in results:
        for each in (*result.successes, *result.untried):
            word = "succeeded" if each.succeeded else "not tried"
            stdout().print(f"{result.attempt.wall}: {each.subject}: {word}: {each.said}", style="red")
    successes, all_ = sum(len(each.successes) for each in results), sum(len(each.tries) for each in results)
    stdout().print(f"{environment}: {successes} of {all_} tries succeeded", style="red" if successes else "green")
