"""Operations on the cluster as a whole: its configuration in etcd, hand-made settings, pending restarts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Generator, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import gevent
from pyinfra import host
from pyinfra.api import FactBase, FunctionCommand, StringCommand, operation

from roles import paths
from roles.kit.declare import Target
from roles.kit.journal import call, perform
from roles.kit.observe import Present
from roles.postgres.parameters import TLS, dynamic_configuration

CURL = f"curl -sS --max-time 20 --cacert {paths.CA} --cert {TLS}/cert.pem --key {TLS}/key.pem"
JQ = "jq -en"
"""Shell: whether a filter of `input` is true. Without -n jq 1.6 (Debian 12) takes silence for true."""
HBA_FILE = "psql -U postgres -d postgres -XAtc 'show hba_file'"
"""Shell: where the server reads pg_hba.conf."""
ENDED = ("running", "streaming")
BEHIND = "in archive recovery"
"""Where a delayed replica is well too: after a restart it reads what it still has to wait for from the archive."""
Commands = Generator[str | FunctionCommand, None, None]


class Refused(Exception):
    """A step that would endanger the cluster was not taken."""


def url(target: Target, path: str, address: object | None = None) -> str:
    """Patroni's REST URL on a member (this host's when no address is given)."""
    return f"https://{address or target.host.address}:{target.manifest.ports.patroni}{path}"


def member_is_ready(target: Target) -> str:
    """Shell condition: this member leads (it runs as primary and holds the lease), or streams from the one that does. A
    delayed one may read the archive instead, which is ahead of it."""
    states = '.replication_state == "streaming"'
    if target.host.name in target.manifest.postgres.apply_delay:
        states = f'({states} or .replication_state == "in archive recovery")'
    streams = f'input | .state == "running" and {states}'
    return (
        f"{{ {CURL} -f {url(target, '/primary')} >/dev/null 2>&1 || "
        f"{CURL} -f {url(target, '/patroni')} 2>/dev/null | {JQ} {shlex.quote(streams)} >/dev/null 2>&1; }}"
    )


def member_is_being_made(target: Target) -> str:
    """Shell condition: this member, or one that it waits for, is restored or copied, or replays what it has."""
    own = 'input | (.state | test("bootstrap|creating|starting")) or .replication_state == "in archive recovery"'
    other = 'input | .members[] | select((.state | test("bootstrap|creating|starting|archive recovery")) and .name != "NAME")'
    other = other.replace("NAME", target.host.name)
    return (
        f"{{ {CURL} {url(target, '/patroni')} | {JQ} {shlex.quote(own)} >/dev/null 2>&1 || "
        f"{CURL} {url(target, '/cluster')} | {JQ} {shlex.quote(other)} >/dev/null 2>&1; }}"
    )


class Configuration(FactBase[dict[str, Any]]):
    """Patroni's dynamic configuration as etcd holds it."""

    default = dict

    def command(self, address: str) -> str:
        return f"{CURL} -f {address} || true"

    def process(self, output: Iterable[str]) -> dict[str, Any]:
        text = "".join(output)
        return dict(json.loads(text)) if text else {}


class Members(FactBase[list[dict[str, Any]]]):
    """The members of the cluster as Patroni sees them."""

    default = list

    def command(self, address: str) -> str:
        return f"{CURL} -f {address} || true"

    def process(self, output: Iterable[str]) -> list[dict[str, Any]]:
        text = "".join(output)
        return list(json.loads(text)["members"]) if text else []


class HandMadeSettings(FactBase[list[str]]):
    """Names set by ALTER SYSTEM: Keel never uses it, so each one is drift (Q-04)."""

    default = list

    def command(self) -> str:
        query = "select distinct name from pg_file_settings where sourcefile like '%postgresql.auto.conf' order by 1"
        return f"psql -U postgres -d postgres -XAtc {shlex.quote(query)} 2>/dev/null || true"

    def process(self, output: Iterable[str]) -> list[str]:
        return [line for line in output if line]


class RecoverySettings(FactBase[list[str]]):
    """Names of what a recovery set and that waits for a restart to be as it should again."""

    default = list

    def command(self) -> str:
        query = "select name from pg_settings where pending_restart and (name = 'hot_standby' or name like 'recovery_target%')"
        return f"psql -U postgres -d postgres -XAtc {shlex.quote(query)} 2>/dev/null || true"

    def process(self, output: Iterable[str]) -> list[str]:
        return [line for line in output if line]


class AccessLines(FactBase[list[str]]):
    """The lines of pg_hba.conf, without comments; none before the server runs."""

    default = list

    def command(self) -> str:
        return f'cat "$({HBA_FILE})" 2>/dev/null || true'

    def process(self, output: Iterable[str]) -> list[str]:
        return [line for line in output if line and not line.startswith("#")]


def converge_configuration(target: Target) -> None:
    """Make etcd's copy what the settings say; a parameter they do not name is removed."""
    found = host.get_fact(Configuration, address=url(target, "/config"))
    patch = difference(found, dynamic_configuration(target.manifest))
    names = ", ".join(sorted(_leaves(patch)))
    perform(
        f"postgres: cluster configuration ({names or 'current'})", _patch_configuration, patch, url(target, "/config")
    )


def forget_hand_made_settings(target: Target) -> None:
    """Undo ALTER SYSTEM on this member."""
    names = host.get_fact(HandMadeSettings)
    perform(f"postgres: no ALTER SYSTEM ({', '.join(names) or 'none'})", _reset_settings, names)
    # What belongs to a recovery stays in force until the server starts again.
    recovered = host.get_fact(RecoverySettings) or any(name.startswith("recovery_target") for name in names)
    perform("postgres: restart after a recovery", _restart_here, target if recovered else None)


def forget_hand_made_access(wanted: list[str]) -> None:
    """Make pg_hba.conf of this member what Patroni was told: it writes the file only when its own settings change."""
    found = host.get_fact(AccessLines)
    # Of a line only what it admits: its options may hold a password.
    more = ", ".join(" ".join(line.split()[:4]) for line in found if line not in wanted)
    lines = wanted if found and found != wanted else []
    perform(f"postgres: pg_hba.conf ({more or ('changed' if lines else 'current')})", _write_access, lines)


def forget_order() -> None:
    """Take away an order to recover: this member runs, so it was carried out, and it acts once."""
    waits = host.get_fact(Present, path=paths.RECOVERY_ORDER)
    perform("postgres: no order to recover waits", _remove, [paths.RECOVERY_ORDER] if waits else [])


def carry_out_restarts(target: Target) -> None:
    """Restart members whose settings wait for it: replicas first, the leader last and after a switchover."""
    members = host.get_fact(Members, address=url(target, "/cluster"))
    pending = [member["name"] for member in members if member.get("pending_restart")]
    perform(f"postgres: pending restarts ({', '.join(pending) or 'none'})", _rolling_restart, target, pending)


def difference(found: dict[str, Any], wanted: dict[str, Any], whole: bool = False) -> dict[str, Any]:
    """The merge patch that makes ``found`` into ``wanted``. Keys that only ``found`` has are kept, except below
    ``parameters`` (``whole``), which Keel owns entirely."""
    patch: dict[str, Any] = {}
    for key, value in wanted.items():
        if isinstance(value, dict):
            inner = difference(found.get(key) or {}, value, whole=key == "parameters")
            if inner:
                patch[key] = inner
        elif found.get(key) != value:
            patch[key] = value
    if whole:
        patch.update({key: None for key in found if key not in wanted})
    return patch


def _leaves(patch: dict[str, Any]) -> list[str]:
    names: list[str] = []
    for key, value in patch.items():
        names.extend(_leaves(value) if isinstance(value, dict) else [key])
    return names


@operation()
def _patch_configuration(patch: dict[str, Any], address: str) -> Commands:
    if patch:
        body = shlex.quote(json.dumps(patch, sort_keys=True))
        yield f"{CURL} -f -X PATCH -d {body} {address} >/dev/null"
        # Patroni tells which members must restart one loop after it has read the new configuration.
        yield call(_await_new_configuration, address)


@operation()
def _reset_settings(names: list[str]) -> Commands:
    for name in names:
        yield f"psql -U postgres -d postgres -Xqc {shlex.quote(f'ALTER SYSTEM RESET {name}')}"
    if names:
        yield "psql -U postgres -d postgres -Xqc 'select pg_reload_conf()'"


@operation()
def _restart_here(target: Target | None) -> Commands:
    if target:
        # A checkpoint first, so that the restart itself is short; replicas that are being made begin anew.
        yield "psql -U postgres -d postgres -Xqc checkpoint"
        yield f"{CURL} --max-time 600 -f -X POST -d '{{}}' {url(target, '/restart')} >/dev/null"
        yield f"timeout 300 sh -c {shlex.quote(f'until {member_is_ready(target)}; do sleep 0.3; done')}"


@operation()
def _write_access(lines: list[str]) -> Commands:
    if lines:
        yield f'printf "%s\\n" {shlex.join(lines)} > "$({HBA_FILE})"'
        yield "psql -U postgres -d postgres -Xqc 'select pg_reload_conf()'"


@operation()
def _remove(paths_: list[str]) -> Commands:
    for path in paths_:
        yield f"rm -f {shlex.quote(path)}"


@operation()
def _rolling_restart(target: Target, pending: list[str]) -> Commands:
    if pending:
        yield call(_restart_all, target)


def _shell(command: str) -> str:
    succeeded, output = host.run_shell_command(StringCommand(command))
    if not succeeded:
        raise Refused(f"{host.name}: {command.partition(' -')[0]} failed: {output.stderr or output.stdout}")
    return str(output.stdout)


def _members(target: Target) -> list[dict[str, Any]]:
    return list(json.loads(_shell(f"{CURL} -f {url(target, '/cluster')}"))["members"])


def _await(target: Target, condition: Any, what: str, seconds: float = 60) -> list[dict[str, Any]]:
    with gevent.Timeout(seconds, Refused(f"{what}: not reached within {seconds:.0f} s")):
        while not condition(members := _members(target)):
            gevent.sleep(0.3)
    return members


def _await_new_configuration(address: str) -> None:
    loop_wait = float(json.loads(_shell(f"{CURL} -f {address}"))["loop_wait"])
    gevent.sleep(loop_wait + 1)


def _healthy(target: Target, members: list[dict[str, Any]]) -> bool:
    delayed = target.manifest.postgres.apply_delay
    runs = all(m["state"] in ENDED or (m["state"] == BEHIND and m["name"] in delayed) for m in members)
    return runs and any(m["role"] == "leader" for m in members)


def _restart_all(target: Target) -> None:
    """Replicas one by one, then switchover and the old leader; to lower a value, the leader first, in its place.

    Each round looks anew; raises Refused when members still wait after five.
    """
    for _ in range(5):
        members = _await(target, partial(_healthy, target), "every member running before the restarts")
        replicas = [m for m in members if m["role"] != "leader" and m.get("pending_restart")]
        leader = next(m for m in members if m["role"] == "leader")
        if not replicas and not leader.get("pending_restart"):
            return
        if _lowered(leader):
            _restart(target, leader["name"], leader["host"])
            # The replicas must have replayed the lower value, and told so, before they can start with it.
            _await_new_configuration(url(target, "/config"))
            continue
        for member in replicas:
            _restart(target, member["name"], member["host"])
        if leader.get("pending_restart"):
            candidate = _candidate(target)
            if candidate:
                _switchover(target, leader, candidate)
            if any(m["name"] == leader["name"] and m.get("pending_restart") for m in _members(target)):
                _restart(target, leader["name"], leader["host"])
    waiting = [m["name"] for m in _members(target) if m.get("pending_restart")]
    if waiting:
        raise Refused(f"{', '.join(waiting)} still wait(s) for a restart after five rounds; look at `patronictl list`")


LEADER_FIRST = frozenset(
    {
        "max_connections",
        "max_worker_processes",
        "max_wal_senders",
        "max_prepared_transactions",
        "max_locks_per_transaction",
    }
)
"""A replica must not have less of these than its primary: to lower one, the primary restarts first, in its place."""


def _lowered(leader: dict[str, Any]) -> bool:
    """True if the leader waits to restart with less of something that its replicas must not have less of."""
    reasons = leader.get("pending_restart_reason") or {}
    return any(
        name in LEADER_FIRST and int(reason["new_value"]) < int(reason["old_value"]) for name, reason in reasons.items()
    )


def _candidate(target: Target) -> str | None:
    """The member to switch over to, awaited: a standby that has just restarted is synchronous again a loop later.

    None where there is no replica but delayed ones; then the primary restarts in its place.
    """
    settings = target.manifest.postgres
    if settings.replicas == len(settings.apply_delay):
        return None
    role = "sync_standby" if settings.synchronous else "replica"

    def fit(members: list[dict[str, Any]]) -> list[str]:
        able = [m for m in members if m["role"] == role and m["state"] == "streaming"]
        return [m["name"] for m in able if m["name"] not in settings.apply_delay]

    return fit(_await(target, lambda now: bool(fit(now)), f"a {role} to switch over to", 30))[0]


def _switchover(target: Target, leader: dict[str, Any], candidate: str) -> None:
    body = json.dumps({"leader": leader["name"], "candidate": candidate})
    _shell(f"{CURL} -f -X POST -d {shlex.quote(body)} {url(target, '/switchover', leader['host'])}")
    _await(
        target,
        lambda now: _healthy(target, now) and any(m["name"] == candidate and m["role"] == "leader" for m in now),
        f"switchover from {leader['name']} to {candidate}",
    )


def _restart(target: Target, name: str, address: str) -> None:
    """Restart one member and wait until it runs, for a while also until it no longer asks for a restart: a replica
    that started before it had replayed its primary's lower value asks again, and the next round sees it."""
    _shell(f"{CURL} -f -X POST -d '{{}}' {url(target, '/restart', address)}")
    _await(target, partial(_healthy, target), f"{name} running after its restart")
    with suppress(Refused):
        _await(target, lambda now: not any(m["name"] == name and m.get("pending_restart") for m in now), name, 10)
