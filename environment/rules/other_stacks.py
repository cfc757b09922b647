"""What environments of one project must not share: two of them on one machine, or two that are the same machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from environment.rules.base import Problem
from environment.rules.placement import published_ports
from environment.settings import Settings
from environment.types import Provider


def clashes(sections: Mapping[str, Any], others: Mapping[str, Settings]) -> Iterator[Problem]:
    """Problems of an environment that runs next to ``others``, by name. Sections that were refused are left out."""
    if not {"environment", "network", "hosts"} <= sections.keys():
        return
    mine = Settings.model_construct(**sections)
    for name, other in others.items():
        if mine.environment.provider is not other.environment.provider:
            continue
        yield from (_containers if mine.environment.provider is Provider.DOCKER else _machines)(mine, name, other)


def _containers(mine: Settings, name: str, other: Settings) -> Iterator[Problem]:
    if mine.network.cidr.overlaps(other.network.cidr):
        yield Problem(
            "network.cidr", str(mine.network.cidr), f"a network apart from {name}'s, which is {other.network.cidr}"
        )
    theirs = {port: path for path, port in published_ports(other.network, other.hosts)}
    for path, port in published_ports(mine.network, mine.hosts):
        if port in theirs:
            yield Problem(path, port, f"a port that {name} does not publish (its keel:{theirs[port]})")


def _machines(mine: Settings, name: str, other: Settings) -> Iterator[Problem]:
    theirs = {(host.ssh.hostname, host.ssh.port): key for key, host in other.hosts.items() if host.ssh}
    for key, host in mine.hosts.items():
        if host.ssh and (host.ssh.hostname, host.ssh.port) in theirs:
            whose = theirs[host.ssh.hostname, host.ssh.port]
            where = f"{host.ssh.hostname}:{host.ssh.port}"
            yield Problem(f"hosts.{key}.ssh.hostname", where, f"a machine of its own; this one is {whose} of {name}")
