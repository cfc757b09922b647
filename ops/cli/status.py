"""`keel status`: is the environment well, and is every commit protected?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from ops.cli.console import AsJson, Environment, stdout, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ops.status.facts import Facts
    from ops.status.judge import Verdict

MIB = 2**20


def status(environment: Environment = "dev", as_json: AsJson = False) -> None:
    """Show hosts, PostgreSQL members, protection, etcd, pools, Redis, versions, migration heads and alerts.

    Exit status: 0 well, 1 degraded or unprotected, 2 not up or unreadable.
    """
    from ops.hosts.environment import open_environment
    from ops.status.collect import collect
    from ops.status.judge import judge

    with open_environment(environment) as session:
        facts = collect(session)
    verdict = judge(facts)
    if as_json:
        document = {"verdict": verdict.model_dump(mode="json"), **facts.model_dump(mode="json")}
        print(json.dumps(document, indent=2, sort_keys=True))
    else:
        show(facts, verdict, stdout())
    raise typer.Exit(verdict.exit_status)


def show(facts: Facts, verdict: Verdict, console: Console) -> None:
    """The tables and, last, the verdict."""
    for made in (_hosts(facts), _members(facts), _pools(facts), _services(facts), _alerts(facts)):
        if made.row_count:
            console.print(made)
    for problem in verdict.problems:
        console.print(f"problem: {problem}", style="red")
    word = "protected" if verdict.protected else "unprotected"
    style = "green" if verdict.protected else "yellow" if verdict.well else "red"
    console.print(f"{facts.environment}: {word}: {verdict.reason}", style=style)


def _hosts(facts: Facts) -> Table:
    made = table("Hosts", "host", "address", "groups", "state", "versions")
    for host in facts.hosts:
        state = "unreachable" if host.fault else "failed units" if host.failed_units else "up"
        versions = ", ".join(f"{package} {version}" for package, version in sorted(host.versions.items()))
        made.add_row(host.name, host.address, " ".join(host.groups), state, versions)
    return made


def _members(facts: Facts) -> Table:
    made = table("PostgreSQL", "member", "role", "state", "timeline", "lag (bytes)", "version")
    versions = {server.host: server.version for server in facts.servers}
    for member in facts.members:
        lag = "-" if member.leads else "unknown" if member.lag is None else str(member.lag)
        if member.delay and not member.leads:
            lag = f"delayed by {member.delay} min"
        made.add_row(
            member.name,
            member.role,
            member.state,
            str(member.timeline or "-"),
            lag,
            versions.get(member.name, "no answer"),
        )
    return made


def _pools(facts: Facts) -> Table:
    made = table("PgBouncer pools", "edge", "database", "user", "clients", "waiting", "servers", "idle", "waited (s)")
    for pool in facts.pools:
        figures = (
            pool.clients_active, pool.clients_waiting, pool.servers_active, pool.servers_idle, pool.waited_seconds
        )  # fmt: skip
        edge = f"{pool.edge} (leaving)" if pool.leaving else pool.edge
        made.add_row(edge, pool.database, pool.user, *(str(figure) for figure in figures))
    return made


def _services(facts: Facts) -> Table:
    made = table("Services", "service", "where", "state")
    for name, answers in facts.etcd.items():
        made.add_row("etcd", name, "healthy" if answers else "no answer")
    for redis in facts.redis:
        used = f"{redis.used_bytes / MIB:.1f} of {redis.limit_bytes / MIB:.0f} MiB, {redis.clients} clients"
        made.add_row("redis", redis.host, redis.fault or used)
    for head in facts.heads:
        state = "at head" if head.current == head.head else f"head is {head.head}"
        made.add_row("revision", head.product, f"{head.current or 'none'}, {state}")
    return made


def _alerts(facts: Facts) -> Table:
    made = table("Alerts of the backup host", "severity", "alert", "since", "what")
    if facts.watch is None:
        made.add_row("warning", "archive_unwatched", "-", "the archive was not checked since the backup host started")
    for alert in facts.watch.alerts if facts.watch else ():
        made.add_row(alert.severity, alert.alert, alert.since, alert.text)
    return made
