"""`keel drift`: what differs from the model, on the hosts and in the databases. Changes nothing."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import typer

from environment.errors import explained
from environment.report import Report
from ops.cli.console import UNREADABLE, AsJson, Environment, progress, stdout

if TYPE_CHECKING:
    from db.difference import Difference
    from ops.hosts.session import Session

DRIFT = 3


@dataclass(frozen=True)
class Drift:
    """What was found, and what could not be read."""

    hosts: tuple[str, ...] = ()
    """`host: operation` that the roles would carry out."""
    databases: tuple[Difference, ...] = ()
    """`what` differs, and the SQL that would `undo` it, empty where no single statement does."""
    unknown: tuple[str, ...] = ()
    """What could not be read, and why."""

    @property
    def exit_status(self) -> int:
        """0 none, 3 drift, 2 something could not be read (also when the rest has no drift)."""
        if self.unknown:
            return UNREADABLE
        return DRIFT if self.hosts or self.databases else 0


def drift(environment: Environment = "dev", as_json: AsJson = False) -> None:
    """Show what the next `pulumi up --refresh` would repair. Exit status: 0 no drift, 3 drift, 2 something could not be read."""
    from ops.hosts.environment import open_environment

    with open_environment(environment) as session, progress(f"{environment}: drift") as report:
        found = look(session, report)
    if as_json:
        print(json.dumps(asdict(found), indent=2, sort_keys=True))
    else:
        console = stdout()
        for line in found.hosts:
            console.print(f"drift: {line}", style="yellow")
        for difference in found.databases:
            console.print(f"drift: {difference.what}", style="yellow")
            if difference.undo:
                console.print(f"  undone by: {difference.undo}")
        for line in found.unknown:
            console.print(f"unknown: {line}", style="red")
        console.print(f"{environment}: {len(found.hosts)} on hosts, {len(found.databases)} in databases")
    raise typer.Exit(found.exit_status)


def look(session: Session, report: Report) -> Drift:
    """Hosts and databases at the same time. What could not be read is part of the answer."""
    from ops.converge.client import run

    with ThreadPoolExecutor(1) as pool:
        hosts = pool.submit(lambda: run(session, report, dry=True))
        databases, unknown = _databases(session)
        try:
            outcome = hosts.result()
        except Exception as error:
            return Drift(databases=databases, unknown=(*unknown, _sentence(error)))
    unreachable = (f"{name}: unreachable" for name in outcome.unreachable)
    return Drift(hosts=tuple(sorted(outcome.changes)), databases=databases, unknown=(*unreachable, *unknown))


def _databases(session: Session) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    from ops.products import databases
    from ops.steps import migration

    products = session.manifest.products
    looks = [
        partial(databases.differences, session),
        *(partial(migration.differences, session, name) for name in products),
    ]
    found: list[Difference] = []
    unknown: list[str] = []
    for look in looks:
        try:
            found += look()
        except Exception as error:
            unknown.append(_sentence(error))
    return tuple(found), tuple(unknown)


def _sentence(error: Exception) -> str:
    sentence = explained(error)
    if sentence is None:
        raise error
    return sentence
