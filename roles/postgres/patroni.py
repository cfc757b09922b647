"""Patroni's REST API: how it is asked, and one reading of what it answers.

The roles ask on the host they work on, the controller over SSH: whoever asks passes an :data:`Ask`. Nothing here opens a connection.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from environment.manifest import Manifest
from environment.pki import Authority
from environment.waiting import until
from roles import paths
from roles.postgres.parameters import LEADER_FIRST

TLS = f"{paths.TLS}/patroni-to-{Authority.PATRONI}"
NETRC = "/etc/patroni/api.netrc"
"""What an order needs in addition to the certificate: a password, for a proxy's certificate opens the same door."""
API_USER = "keel_api"
_PAIR = paths.since(TLS, f"{paths.TLS}/postgres")
# A member of an environment from before has no such file, and curl 8.22 refuses to do without one that it was told of.
_PASSWORD = f"$([ ! -e {NETRC} ] || echo --netrc-optional --netrc-file {NETRC})"
CURL = f"curl -sS {_PASSWORD} --cacert {paths.CA} --cert {_PAIR}/cert.pem --key {_PAIR}/key.pem"
JQ = "jq -en"
"""Shell: whether a filter of `input` is true. Without -n jq 1.6 (Debian 12) takes silence for true."""
STREAMING = "streaming"
BEHIND = "in archive recovery"
"""Where a delayed replica is well too: after a restart it reads what it still has to wait for from the archive."""
MAKING = "bootstrap|creating|starting"
"""Pattern of the states of a member that is restored, copied or started."""
INTERVAL = 0.3
"""Seconds between two looks at the members."""


class Ask(Protocol):
    """A question to Patroni on ``host``, or with ``data`` an order: what it answers. Raises when it answers an error."""

    def __call__(self, host: str, path: str, data: Mapping[str, Any] | None = None) -> str: ...


@dataclass(frozen=True)
class Member:
    """One PostgreSQL server. ``lag``: bytes behind the primary, None when unknown."""

    name: str
    role: str
    state: str
    timeline: int | None
    lag: int | None
    pending_restart: bool
    delay: int = 0
    """Minutes that it stays behind on purpose (keel:postgres.apply_delay)."""
    lowers: bool = False
    """It waits to restart with less of something that a replica must not have less of than its primary."""

    @property
    def leads(self) -> bool:
        """True for the primary."""
        return self.role in ("leader", "standby_leader")

    @property
    def well(self) -> bool:
        """True if it runs as primary or streams; one that stays behind may read the archive, which is ahead of it.

        A replica that only runs is not well: it may still be on another timeline, and wait for pg_rewind.
        """
        if self.leads:
            return self.state in ("running", STREAMING)
        return self.state == STREAMING or (self.delay > 0 and self.state == BEHIND)

    def __str__(self) -> str:
        return f"{self.name} ({self.role}, {self.state})"


def url(manifest: Manifest, host: str, path: str) -> str:
    """Patroni's address on a member."""
    return f"https://{manifest.host(host).address}:{manifest.ports.patroni}{path}"


def question(manifest: Manifest, host: str, path: str) -> str:
    """Shell that prints what Patroni on ``host`` answers at ``path``; it fails where that is an error.

    Patroni opens its listener again when its certificate changed, so a question is asked again. An order is not.
    """
    again = "--retry 3 --retry-all-errors --retry-delay 1"
    return f"{CURL} -f {again} --max-time 20 {url(manifest, host, path)}"


def order(
    manifest: Manifest, host: str, path: str, data: Mapping[str, Any], *, method: str = "POST", seconds: int = 60
) -> str:
    """Shell that gives Patroni on ``host`` an order and prints its answer; it fails, with the answer, where that is an error."""
    body = shlex.quote(json.dumps(data, sort_keys=True))
    return f"{CURL} --fail-with-body --max-time {seconds} -X {method} -d {body} {url(manifest, host, path)}"


def command(manifest: Manifest, host: str, path: str, data: Mapping[str, Any] | None) -> str:
    """Shell for a question or, with ``data``, an order."""
    return question(manifest, host, path) if data is None else order(manifest, host, path, data)


def leads(manifest: Manifest, host: str) -> str:
    """Shell condition: the member runs as primary and holds the lease."""
    return f"{CURL} -f --max-time 10 {url(manifest, host, '/primary')} >/dev/null 2>&1"


def ready(manifest: Manifest, host: str) -> str:
    """Shell condition: the member leads, or streams from the one that does. A delayed one may read the archive instead,
    which is ahead of it."""
    states = f'.replication_state == "{STREAMING}"'
    if host in manifest.postgres.apply_delay:
        states = f'({states} or .replication_state == "{BEHIND}")'
    streams = f'input | .state == "running" and {states}'
    return (
        f"{{ {leads(manifest, host)} || "
        f"{CURL} -f --max-time 20 {url(manifest, host, '/patroni')} 2>/dev/null "
        f"| {JQ} {shlex.quote(streams)} >/dev/null 2>&1; }}"
    )


def being_made(manifest: Manifest, host: str) -> str:
    """Shell condition: the member, or one that it waits for, is restored or copied, or replays what it has."""
    own = f'input | (.state | test("{MAKING}")) or .replication_state == "{BEHIND}"'
    other = f'input | .members[] | select((.state | test("{MAKING}|{BEHIND}")) and .name != "{host}")'
    return (
        f"{{ {CURL} --max-time 20 {url(manifest, host, '/patroni')} | {JQ} {shlex.quote(own)} >/dev/null 2>&1 || "
        f"{CURL} --max-time 20 {url(manifest, host, '/cluster')} | {JQ} {shlex.quote(other)} >/dev/null 2>&1; }}"
    )


def members_of(manifest: Manifest, cluster: str) -> list[Member]:
    """Every PostgreSQL server of Patroni's answer at /cluster. Raises JSONDecodeError."""
    return [
        Member(
            name=item["name"],
            role=item["role"],
            state=item["state"],
            timeline=item.get("timeline"),
            lag=item["lag"] if isinstance(item.get("lag"), int) else None,
            pending_restart=bool(item.get("pending_restart")),
            delay=manifest.postgres.apply_delay.get(item["name"], 0),
            lowers=lowers(item.get("pending_restart_reason") or {}),
        )
        for item in json.loads(cluster)["members"]
    ]


def lowers(reasons: Mapping[str, Mapping[str, str]]) -> bool:
    """True if a restart for these reasons gives a server less of what a replica must not have less of."""
    return any(
        name in LEADER_FIRST and int(reason["new_value"]) < int(reason["old_value"]) for name, reason in reasons.items()
    )


def healthy(members: Sequence[Member]) -> bool:
    """True if every member is well and one of them leads."""
    return all(member.well for member in members) and any(member.leads for member in members)


def candidates(manifest: Manifest, members: Sequence[Member]) -> list[str]:
    """Those that the primary may hand over to: a replica that streams, in synchronous mode the synchronous one, and none that
    stays behind on purpose."""
    role = "sync_standby" if manifest.postgres.synchronous else "replica"
    return [m.name for m in members if m.role == role and m.state == STREAMING and not m.delay]


def await_candidate(manifest: Manifest, look: Callable[[], list[Member]], wanted: str | None = None) -> str:
    """The member to hand over to, ``wanted`` or any, within 30 s: a standby that has just come back is synchronous again a loop
    later.

    Raises NotReached.
    """

    def fit(now: list[Member]) -> list[str]:
        return [name for name in candidates(manifest, now) if wanted in (None, name)]

    kind = "synchronous" if manifest.postgres.synchronous else "streaming"
    what = f"{wanted} to be a {kind} replica" if wanted else f"a {kind} replica to switch over to"
    return fit(await_members(look, lambda now: bool(fit(now)), what, 30))[0]


def await_members(
    look: Callable[[], list[Member]], condition: Callable[[list[Member]], bool], what: str, seconds: float
) -> list[Member]:
    """The members as soon as ``condition`` holds of them. Raises NotReached after ``seconds``, with what they are instead."""
    found: list[Member] = []

    def holds() -> bool:
        found[:] = look()
        return condition(found)

    until(
        holds, seconds, what, last=lambda: f"the members are {', '.join(map(str, found)) or 'silent'}", every=INTERVAL
    )
    return found


def hand_over(ask: Ask, leader: str, candidate: str) -> str:
    """Order the switchover; Patroni's answer. It is over when the candidate leads, which is for the caller to await."""
    return ask(leader, "/switchover", {"leader": leader, "candidate": candidate})
