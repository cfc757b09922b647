"""The step `ready`: the gate after a container came, before the next one may go."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from environment import names
from environment.errors import KeelError
from environment.manifest import HostEntry
from environment.names import POSTGRES_VOLUME, REPLICATION
from environment.report import Report
from environment.roles import stages
from environment.types import Group
from environment.waiting import until
from ops.cluster import etcd
from ops.cluster.patroni import last_words, members
from ops.hosts.docker import aliases, docker
from ops.hosts.lock import refuse_others
from ops.hosts.session import Session, Unreachable
from roles import paths
from roles.base.role import HOSTS
from roles.postgres.role import CONFIG as PATRONI

PROCESSES = 4096
"""Of a container at most, so that it cannot take the machine's (W11). Pulumi's provider has no argument for it."""


class NotReady(KeelError):
    """The host, or the cluster with it, did not become healthy in time."""


def apply(session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Wait for SSH. Where the platform ran before, put the host's services back and wait until they are well.

    A database host that joins is left to the stages: they make the others admit it before its first service starts, and wait for
    its services too. Of what else a host carries now the others' firewalls learn first.
    """
    host = session.manifest.host(inputs["host"])
    if docker("inspect", "-f", "{{.State.Running}}", inputs["container_name"]) != "true":
        report(f"{host.name}: starting its container")
        docker("start", inputs["container_name"])
    runs = "before" in inputs and inputs["before"] == inputs["container"]
    if not _is_called(session, inputs):
        if runs:  # another controller may be at work there
            refuse_others(session)
        report(f"{host.name}: its container gets the names {', '.join(_aliases(inputs)) or 'that it has without Keel'}")
        _call(session, inputs)
    docker("update", "--pids-limit", str(PROCESSES), inputs["container_name"])
    report(f"{host.name}: waiting for SSH")
    _await_ssh(session, host.name)
    if runs:
        return {}  # it runs as it did: what it lost since is for the stages
    if not _ran_before(session, host.name) or not _is_let_in(session, host):
        return {}
    from ops.converge.run import all_stages, converge  # slow to import, and rarely needed

    if unaware := [
        name for name, said in _recorded(session, session.manifest.hosts, host, HOSTS) if _gained(host, said)
    ]:
        report(f"{host.name}: {', '.join(unaware)} learn(s) what it carries now")
        converge(session, [next(iter(stages()))], report, only=unaware, converge_cluster=False)
    converge(session, all_stages(), report, only=[host.name], converge_cluster=False)
    report(f"{host.name}: waiting for its services")
    until(
        lambda: _well(session, host.name), 120, f"the cluster to be healthy with {host.name}, which came back",
        last=lambda: last_words(session, host.name), every=1, error=NotReady,
        left="The next host was left alone", advice="Look at `./keel status`",
    )  # fmt: skip
    return {}


def observe(session: Session, inputs: dict[str, Any]) -> list[str]:
    """Drift when sshd of the host does not answer."""
    try:
        _greeting(session, inputs["host"])
    except (Unreachable, OSError):
        return [f"{inputs['host']}: unreachable"]
    if not _is_called(session, inputs):
        return [f"{inputs['host']}: containers do not find it as {', '.join(_aliases(inputs)) or 'nothing'}"]
    return []


def _aliases(inputs: dict[str, Any]) -> list[str]:
    """The names under which containers find the host; most hosts have none, and what an earlier release wrote down has none."""
    return list(inputs.get("aliases") or ())


def _is_called(session: Session, inputs: dict[str, Any]) -> bool:
    """True if containers in the environment's network find the host under its names, and no others of this kind."""
    network = names.network(session.manifest.identity.name)
    return aliases(inputs["container_name"], network) == set(_aliases(inputs))


def _call(session: Session, inputs: dict[str, Any]) -> None:
    """Give the container its names. Docker takes them only where a container joins a network, and Pulumi would replace the
    container: so it leaves the network for less than a second, and comes back with the same address."""
    network, container = names.network(session.manifest.identity.name), inputs["container_name"]
    if aliases(container, network) is not None:
        docker("network", "disconnect", network, container)
    options = [argument for name in _aliases(inputs) for argument in ("--alias", name)]
    docker(
        "network", "connect", "--ip", str(session.manifest.host(inputs["host"]).address), *options, network, container
    )


def _await_ssh(session: Session, host: str) -> None:
    """Raises NotReady when sshd does not answer, or systemd does not come to the end of its start."""

    def answers() -> bool:
        _greeting(session, host)
        return True

    def started() -> bool:
        state = session.run(host, "timeout 10 systemctl is-system-running --wait || true", timeout=30).strip()
        return state not in ("", "initializing", "starting")

    again = (Unreachable, OSError, subprocess.TimeoutExpired)
    until(answers, 60, f"SSH on {host}", every=0.2, despite=again, error=NotReady)
    jobs = "systemctl list-jobs --no-legend --no-pager"
    until(
        started, 60, f"systemd on {host} to start its units",
        last=lambda: session.run(host, jobs, timeout=15), every=0.2, despite=again, error=NotReady,
    )  # fmt: skip


def _greeting(session: Session, host: str) -> None:
    """Docker's proxy accepts before sshd listens: only its greeting shows that it does."""
    endpoint = session.manifest.host(host).ssh
    with socket.create_connection((endpoint.hostname, endpoint.port), timeout=2) as connection:
        connection.settimeout(2)
        if connection.recv(4) != b"SSH-":
            raise Unreachable(f"{host}: no SSH greeting on {endpoint.hostname}:{endpoint.port}")


DATA = f"{paths.ETCD_DATA} {POSTGRES_VOLUME}/*/main/PG_VERSION"
"""What a member leaves on its volumes once it has run."""


def _is_let_in(session: Session, host: HostEntry) -> bool:
    """False where another database host does not admit this one as a replica, at this address."""
    servers = session.manifest.carrying(Group.POSTGRES)
    line = f" {REPLICATION} {host.address}/32 "
    return host not in servers or all(line in said for _, said in _recorded(session, servers, host, PATRONI))


def _gained(host: HostEntry, said: str) -> set[Group]:
    """What the host carries and another's list of hosts does not say of it: all of it where it is at another address. A list of an
    earlier release does not say what hosts carry."""
    for words in map(str.split, said.splitlines()):
        if words[:2] == [str(host.address), host.name]:
            return {group for group in host.groups if "#" in words and group not in words[words.index("#") :]}
    return set(host.groups)


def _recorded(session: Session, hosts: Iterable[HostEntry], but: HostEntry, path: str) -> Iterator[tuple[str, str]]:
    """Host and what it has in a file, of those that answer and have one."""
    for other in hosts:
        with suppress(Unreachable):
            if other != but and (said := session.recorded(other.name, path)):
                yield other.name, said


def _ran_before(session: Session, host: str) -> bool:
    """True if this host, or the first database host, holds data: the container is a replacement."""
    first = session.manifest.carrying(Group.POSTGRES)[0].name
    for name in dict.fromkeys((host, first)):
        try:
            if session.run(name, f"ls -d {DATA} 2>/dev/null || true").strip():
                return True
        except Unreachable:
            continue
    return False


def _well(session: Session, host: str) -> bool:
    """True if etcd on the host has a leader, and its PostgreSQL runs next to one that leads."""
    entry = session.manifest.host(host)
    if entry.carries(Group.ETCD):
        health = etcd.health(session)
        majority = sum(health.values()) > len(health) // 2
        # With the majority away (several hosts lost at once) the others must come back first.
        if majority and not health[host]:
            return False
        if not majority:
            return True
    if entry.carries(Group.POSTGRES):
        found = members(session)
        well = [member for member in found if member.well]
        return any(member.name == host for member in well) and any(member.leads for member in well)
    return True
