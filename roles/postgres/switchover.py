"""The primary moves while the pooler's clients wait: the one way in which Keel hands over (decision 16).

Whoever asks, a role on its host or the controller over SSH, passes a :class:`Reach`. The order is always: a checkpoint, so that
the old primary stops at once; a hold on every edge; Patroni's switchover. Each edge lets its clients go by itself.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from environment.errors import UNCHANGED, KeelError, Refused, explained
from environment.manifest import Manifest
from environment.report import Report
from environment.types import Group
from roles import paths
from roles.postgres import patroni
from roles.postgres.patroni import Ask, Member

MOVES_WITHIN = 60
"""Seconds in which the candidate has to lead."""
CHECKPOINT = "psql -U postgres -d postgres -XAtqc checkpoint"
HOLD = (
    f"systemctl cat {paths.HOLD_UNIT} >/dev/null 2>&1 || {{ echo absent; exit 0; }}; "
    f"systemctl restart {paths.HOLD_UNIT} 2>/dev/null && echo held || "
    f"cat {paths.HELD} 2>/dev/null || journalctl -u {paths.HOLD_UNIT} -n 3 -o cat"
)
"""Shell: `held` once no client has a transaction open, or what became of it instead; `absent` on a host of an earlier release.

A hold that is there already is left of another switchover, and about to end: it makes room for this one."""
END = f"systemctl stop {paths.HOLD_UNIT}"
"""Shell: the clients go on now."""
LOOK = f"while systemctl -q is-active {paths.HOLD_UNIT}; do sleep 0.05; done; cat {paths.HELD}"
"""Shell: what became of the hold, once it has ended, which it does by itself."""
STAYS = f"systemctl kill -s USR1 {paths.HOLD_UNIT}; {LOOK}"
"""Shell: the primary is where it was, and runs. The same, once HAProxy leads there."""
WHO = (
    "select format('pid %s (%s in %s from %s, %s for %s s)', pid, usename, datname, application_name, state, "
    "round(extract(epoch from clock_timestamp() - xact_start))) from pg_stat_activity "
    "where xact_start is not null and pid in ({pids}) order by xact_start"
)
"""What is open: whose, where they come from, and since when. Never the statement: that may hold personal data."""


class OpenTransactions(Refused):
    """Transactions did not end, so the primary did not move: which."""


class Run(Protocol):
    """The standard output of shell on ``host``. Raises KeelError or CalledProcessError."""

    def __call__(self, host: str, command: str, /) -> str: ...


@dataclass(frozen=True)
class Reach:
    """How the hosts are reached, from wherever this runs."""

    ask: Ask
    run: Run


def switch_over(
    manifest: Manifest,
    reach: Reach,
    leader: str,
    candidate: str,
    report: Report,
    over: Callable[[Sequence[Member]], bool] = lambda _: True,
) -> dict[str, float]:
    """Hand over from ``leader`` to ``candidate`` while no client of the pooler notices more than a pause; edge → seconds of it.

    It has ended when the candidate leads and the members are as ``over`` wants them. Raises OpenTransactions with nothing
    changed, NotReached or what ``reach`` raises where Patroni does not do it; clients go on in every case.
    """
    report(f"switchover from {leader} to {candidate}: checkpoint")
    reach.run(leader, CHECKPOINT)
    report(f"switchover from {leader} to {candidate}")
    edges = [host.name for host in manifest.carrying(Group.EDGE)]
    with held(reach, edges, leader, report) as holding:
        answer = patroni.hand_over(reach.ask, leader, candidate)

        def look() -> list[Member]:
            return patroni.members_of(manifest, reach.ask(candidate, "/cluster"))

        patroni.await_members(
            look,
            lambda now: over(now) and any(m.leads and m.name == candidate for m in now),
            f"{candidate} to lead (Patroni said {answer!r})",
            MOVES_WITHIN,
        )
    return {edge: json.loads(reach.run(edge, LOOK))["held"] for edge in holding}


@contextmanager
def held(reach: Reach, edges: Sequence[str], leader: str, report: Report) -> Iterator[list[str]]:
    """Hold the clients of ``edges``; those that were held. Of an edge that cannot be reached it is reported that it holds none.

    Raises OpenTransactions. A hold ends by itself, at once where the block raises.
    """
    with ThreadPoolExecutor(len(edges)) as pool:
        said = dict(zip(edges, pool.map(partial(_hold, reach), edges), strict=True))
    holding = [edge for edge, answer in said.items() if answer == "held"]
    try:
        for edge, answer in said.items():
            if answer != "held" and not answer.startswith("{"):
                report(f"{edge}: its clients are not held: {answer}")
        open_ = [pid for answer in said.values() if answer.startswith("{") for pid in json.loads(answer)["open"]]
        if any(answer.startswith("{") for answer in said.values()):
            raise OpenTransactions(
                f"the primary stays on {leader}: transactions did not end within 2 s: {_who(reach, leader, open_)}",
                UNCHANGED,
                "Wait for them or end them (`select pg_terminate_backend(pid)`), then run again",
            )
        yield holding
    except BaseException:
        for edge in holding:
            reach.run(edge, END)
        raise


@contextmanager
def held_throughout(reach: Reach, edges: Sequence[str], leader: str, report: Report) -> Iterator[None]:
    """As :func:`held`, where the primary does not move: the block ends when it runs again, and the clients go on."""
    with held(reach, edges, leader, report) as holding:
        yield
        for edge in holding:
            reach.run(edge, STAYS)


def _hold(reach: Reach, edge: str) -> str:
    try:
        return reach.run(edge, HOLD).strip() or "it does not say why"
    except (KeelError, subprocess.SubprocessError) as error:
        return explained(error) or str(error)


def _who(reach: Reach, leader: str, pids: Sequence[int]) -> str:
    if not pids:
        return "they have ended by now"
    found = reach.run(leader, f'psql -U postgres -d postgres -XAtqc "{WHO.format(pids=", ".join(map(str, pids)))}"')
    return "; ".join(found.splitlines()) or "they have ended by now"
