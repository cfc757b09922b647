"""Run the roles of some stages against an environment's hosts, for real or dry, through pyinfra.

This module is imported only by processes that gevent has patched (see ops/step.py and ops/cli): pyinfra's hosts
work in parallel as greenlets.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import gevent
from pyinfra.api import Config, Inventory, State, StringCommand
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.state import StateStage
from pyinfra.context import ctx_host, ctx_state

from environment.errors import UNCHANGED, KeelError, message
from environment.manifest import HostEntry, Manifest
from environment.report import Report
from environment.roles import sections, stages
from ops.converge.outcome import Outcome
from ops.converge.trust import LOOK, asked, found
from ops.hosts import lock
from ops.hosts.connection import connection
from ops.hosts.session import Session
from roles.kit import engine, results
from roles.kit.declare import Role, Target, Trust
from roles.kit.results import OperationFailed
from roles.kit.turns import Turns
from roles.order import of_stage


class ConvergeFailed(KeelError):
    """One or more hosts could not be brought to what the roles declare: host, operation, output."""


def converge(
    session: Session,
    stages: Sequence[str],
    report: Report,
    *,
    dry: bool = False,
    only: Iterable[str] | None = None,
    converge_cluster: bool = True,
    trust: Sequence[Trust] = (),
) -> Outcome:
    """Carry out ``stages`` in order on the hosts (or on ``only`` some of them), with the roles' work on the cluster
    as a whole unless ``converge_cluster`` is False. A pass for each state of ``trust``; without one, a single pass leaves
    the doors as they are found.

    Dry runs change nothing and list unreachable hosts in the outcome; real ones raise :class:`ConvergeFailed` when
    a host cannot be reached, before anything is changed, or when an operation fails.
    """
    wanted = set(only) if only is not None else {host.name for host in session.manifest.hosts}
    hosts = [host for host in session.manifest.hosts if host.name in wanted]
    results.entries.clear()
    with _connected(session, hosts, dry) as state, ctx_state.use(state):
        connected = {host.name for host in state.activated_hosts}
        unreachable = tuple(host.name for host in hosts if host.name not in connected)
        if unreachable and not dry:
            listed = ", ".join(unreachable)
            raise ConvergeFailed(f"unreachable: {listed}", UNCHANGED, "Start them (`pulumi up`), then run again")
        for each in trust or ([found(session, partial(_ask, session, state))] if stages else []):
            for stage in stages:
                _run_stage(session, stage, state, report, converge_cluster, each)
    return Outcome(
        changes=tuple(str(entry) for entry in results.entries if entry.changed),
        unreachable=unreachable,
        hosts=len(connected),
        operations=len(results.entries),
    )


@contextmanager
def _connected(session: Session, hosts: list[HostEntry], dry: bool) -> Iterator[State]:
    for library in ("pyinfra", "paramiko"):  # what they raise is reported
        logging.getLogger(library).addHandler(logging.NullHandler())
    inventory = Inventory(([(host.name, connection(session, host)) for host in hosts], {}))
    state = State(inventory, Config(CONNECT_TIMEOUT=5, FAIL_PERCENT=100), check_for_changes=dry)
    state.set_stage(StateStage.Connect)
    with suppress(PyinfraError):  # every host failed; reported below
        connect_all(state)
    for host in inventory.get_active_hosts():
        _send_at_once(host)
    try:
        if not dry:
            for host in inventory.get_active_hosts():
                _lock(host)
        state.set_stage(StateStage.Prepare if dry else StateStage.Execute)
        state.is_executing = not dry
        yield state
    finally:
        disconnect_all(state)


def _send_at_once(host: Host) -> None:
    """A command is several small packets: by default each waits up to 40 ms until the host has acknowledged the one before
    (Nagle's algorithm and delayed acknowledgements; measured: 47 ms a command, and 5 ms without)."""
    way = host.connector.client.get_transport().sock  # type: ignore[attr-defined]
    if isinstance(way, socket.socket):  # and not the pipe of a proxy command
        way.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _lock(host: Host) -> None:
    """Keep other controllers off the host while this connection lives: the lock ends with it, however it ends."""
    channel = host.connector.client.get_transport().open_session()  # type: ignore[attr-defined]
    channel.exec_command(lock.command())
    answer = channel.makefile().readline().strip()
    if answer != lock.HELD:
        raise lock.refusal(host.name, answer)
    host.data.keel_lock = channel


def _ask(session: Session, state: State, name: str) -> str:
    """How far a host is, over the connection that is there."""
    host = state.inventory.get_host(name) if name in {each.name for each in state.activated_hosts} else None
    return str(host.run_shell_command(StringCommand(LOOK))[1].stdout) if host else asked(session, name)


def _run_stage(
    session: Session, stage: str, state: State, report: Report, converge_cluster: bool, trust: Trust
) -> None:
    manifest = Manifest.from_slice(session.manifest.slice(sections(stage)))
    connected = {host.name for host in state.activated_hosts}
    active = [host for host in session.manifest.hosts if host.name in connected]
    targets = {host.name: Target(manifest, host, session.roots, trust) for host in active}
    roles = {name: [role for role in of_stage(stage) if role.runs_on(at.host)] for name, at in targets.items()}
    serial = (
        (unit.name, name)
        for name in targets
        for role in roles[name]
        for unit in role.units(targets[name])
        if unit.serial
    )
    turns, done = Turns(serial), list[str]()

    def work(name: str) -> None:
        with ctx_host.use(state.inventory.get_host(name)):
            engine.converge(roles[name], targets[name], lambda said: report(f"{stage}: {name}: {said}"), turns)
        done.append(name)
        report(f"{stage}: {name} done ({len(done)} of {len(targets)})")

    _in_parallel({name: (work, name) for name in targets})
    for role in of_stage(stage) if converge_cluster else ():
        first = next((name for name, target in targets.items() if role.runs_on(target.host)), None)
        if first is not None:
            _in_parallel({first: (_converge_cluster, role, targets[first], state)})


def _converge_cluster(role: Role, target: Target, state: State) -> None:
    with ctx_host.use(state.inventory.get_host(target.host.name)):
        role.converge_cluster(target)


def _in_parallel(work: dict[str, tuple[Any, ...]]) -> None:
    greenlets = {name: gevent.spawn(*call) for name, call in work.items()}
    gevent.joinall(list(greenlets.values()))
    failures = [
        message(greenlet.exception)
        if isinstance(greenlet.exception, OperationFailed)
        else f"{name}: {message(greenlet.exception)}"
        for name, greenlet in greenlets.items()
        if greenlet.exception
    ]
    if failures:
        raise ConvergeFailed("\n".join(failures), "What ran before stays", "Correct the cause and run again")


def all_stages() -> list[str]:
    """Every stage, in order."""
    return list(stages())
