"""`keel backup`: run, list, verify and expire backups."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import AsJson, Environment, confirm, progress, stderr, stdout, table

if TYPE_CHECKING:
    from environment.settings import Repository
    from keel_host.gaps import ArchiveGap
    from keel_host.pgbackrest import Backup, Stanza

app = typer.Typer(no_args_is_help=True, help="Run, list, verify and expire backups.")
DAMAGED = 3


@app.command()
def run(
    job: Annotated[
        str, typer.Option("--type", help="full, differential, incremental, dumps (logical), or known (a known moment)")
    ] = "incremental",
    environment: Environment = "dev",
) -> None:
    """Make a backup now in every repository, as cron does. It waits for one that is running.

    Exit status: 0 made, 2 failed in at least one repository.
    """
    from ops.backup import jobs
    from ops.hosts.environment import open_environment

    try:
        chosen = jobs.Job(job)
    except ValueError:
        raise typer.BadParameter(f"{job!r}; allowed: {', '.join(jobs.Job)}", param_hint="--type") from None
    with open_environment(environment) as session, progress(f"{environment}: {job}") as report:
        jobs.run_everywhere(session, chosen, report)
    stdout().print(f"{environment}: {job} made")


@app.command("list")
def list_(environment: Environment = "dev", as_json: AsJson = False) -> None:
    """List backups, logical dumps and restore points, and the times that you can restore to (PLAT-33)."""
    from keel_host.typed import document_of
    from ops.backup import gaps, jobs, repository, restore_points
    from ops.hosts.environment import open_environment

    with open_environment(environment) as session:
        held, dumps, points = repository.stanza(session), jobs.dumps(session), restore_points.recorded(session)
        lost = gaps.unreachable(session)
    if as_json:
        document = {
            "stanza": document_of(held), "dumps": dumps, "restore_points": points,
            "gaps": [asdict(gap) for gap in lost],
        }  # fmt: skip
        print(json.dumps(document, indent=2))
        return
    stdout().print(_backups(held, session.manifest.repository))
    if lost:
        stdout().print(_gaps(lost))
    shown = table("Logical dumps", "database", "file", "made (UTC)", "MiB", "server", "sha256")
    for dump in dumps:
        made = datetime.fromtimestamp(int(str(dump["started"])), UTC)
        shown.add_row(
            str(dump["database"]), str(dump["file"]), f"{made:%F %T}", f"{int(str(dump['bytes'])) / 2**20:.1f}",
            str(dump["server_version"]), str(dump["sha256"])[:16],
        )  # fmt: skip
    stdout().print(shown)
    named = table("Restore points", "name", "time", "LSN")
    for point in points:
        named.add_row(point["name"], point["time"], point["lsn"])
    stdout().print(named)


def _backups(held: Stanza, settings: Repository) -> object:
    from environment.repositories import repositories

    reach = f"any moment from {held.backups[0].stopped:%F %T} UTC" if held.backups else held.status.message
    shown = table(
        f"Backups of {held.name}: {reach}",
        "label", "repository", "type", "started (UTC)", "took", "cluster MiB", "stored MiB", "server", "WAL from", "WAL to", "state",
    )  # fmt: skip
    if held.unanswered:
        stderr().print(f"no answer from repository {'; '.join(held.unanswered)}", style="yellow")
    titles = {each.number: each.title for each in repositories(settings)}
    for made in held.backups:
        shown.add_row(*_row(held, made, titles.get(made.repository, str(made.repository))))
    return shown


def _gaps(lost: list[ArchiveGap]) -> object:
    shown = table("Moments that you cannot restore to", "after", "until", "WAL that is missing", "segments", "state")
    for gap in lost:
        state = "acknowledged" if gap.acknowledged else gap.state
        until = gap.until or "the next full backup"
        shown.add_row(gap.since, until, f"{gap.first} to {gap.last}", str(gap.segments), state)
    return shown


def _row(held: Stanza, made: Backup, where: str) -> tuple[str, ...]:
    took = (made.stopped - made.started).total_seconds()
    return (
        made.label, where, made.type, f"{made.started:%F %T}", f"{took:.0f} s", f"{made.info.size / 2**20:.1f}",
        f"{made.bytes_stored / 2**20:.1f}", held.history(made).version, made.archive.start, made.archive.stop,
        "damaged pages" if made.error else "ok",
    )  # fmt: skip


@app.command()
def verify(environment: Environment = "dev") -> None:
    """Read every backup and every archived segment and compare checksums.

    Exit status: 0 whole, 3 damaged.
    """
    from ops.backup import jobs
    from ops.backup.repository import RepositoryFailed
    from ops.hosts.environment import open_environment

    try:
        with open_environment(environment) as session, progress(f"{environment}: verify") as report:
            account = jobs.verify(session, report)
    except RepositoryFailed as error:
        stdout().print(str(error), style="red")
        raise typer.Exit(DAMAGED) from None
    stdout().print(account)


@app.command()
def expire(
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    environment: Environment = "dev",
) -> None:
    """Show what retention no longer keeps, then remove it. Every backup by cron does the same."""
    from ops.backup import jobs
    from ops.hosts.environment import open_environment

    with open_environment(environment) as session:
        labels = jobs.expirable(session)
        if not labels:
            stdout().print(f"{environment}: retention keeps every backup; WAL that none of them needs is removed")
        else:
            stdout().print(f"{environment}: {len(labels)} backup(s) will be removed: {', '.join(labels)}")
            confirm(environment, yes, "remove them", "nothing was removed")
        with progress(f"{environment}: expire") as report:
            jobs.expire(session, report)
    stdout().print(f"{environment}: done")


@app.command()
def acknowledge(environment: Environment = "dev") -> None:
    """End the alerts of gaps in the archive after which a backup was made. The moments in them stay out of reach."""
    from ops.backup import gaps
    from ops.hosts.environment import open_environment

    with open_environment(environment) as session:
        known = gaps.acknowledge(session)
    for gap in known:
        stdout().print(f"{environment}: acknowledged: {gap.sentence}")
    if not known:
        stdout().print(f"{environment}: there is no gap to acknowledge")
