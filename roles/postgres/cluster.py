"""Operations on the cluster as a whole: its configuration in etcd, hand-made settings, pending restarts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Generator, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import gevent
from pyinfra import host
from pyinfra.api import FactBase, FunctionCommand, StringCommand, operation

from environment.errors import Refused
from roles import paths
from roles.kit.declare import Target
from roles.kit.observe import Present
from roles.kit.operations import serving
from roles.kit.results import call, perform
from roles.postgres import patroni
from roles.postgres.parameters import dynamic_configuration
from roles.postgres.restarts import move_from, restart_all
from roles.postgres.switchover import Reach

Commands = Generator[str | FunctionCommand, None, None]


class Configuration(FactBase[dict[str, Any]]):
    """Patroni's dynamic configuration as etcd holds it."""

    default = dict

    def command(self, question: str) -> str:
        return f"{question} || true"

    def process(self, output: Iterable[str]) -> dict[str, Any]:
        text = "".join(output)
        return dict(json.loads(text)) if text else {}


class Members(FactBase[str]):
    """The members of the cluster as Patroni sees them: its answer, "" where it is silent."""

    default = str

    def command(self, question: str) -> str:
        return f"{question} || true"

    def process(self, output: Iterable[str]) -> str:
        return "".join(output)


class HandMadeSettings(FactBase[list[str]]):
    """Names set by ALTER SYSTEM: Keel never uses it, so each one is drift (Q-04). Read from its file: a millisecond of
    `transaction_timeout` there lets in no one who could ask."""

    default = list

    def command(self, data: str) -> str:
        return f"cat {data}/postgresql.auto.conf 2>/dev/null || true"

    def process(self, output: Iterable[str]) -> list[str]:
        return sorted({line.split(" = ")[0] for line in output if line and not line.startswith("#")})


class RecoverySettings(FactBase[list[str]]):
    """Names of what a recovery set and that waits for a restart to be as it should again."""

    default = list

    def command(self) -> str:
        query = "select name from pg_settings where pending_restart and (name = 'hot_standby' or name like 'recovery_target%')"
        return f"psql -U postgres -d postgres -XAtc {shlex.quote(query)} 2>/dev/null || true"

    def process(self, output: Iterable[str]) -> list[str]:
        return [line for line in output if line]


class AccessLines(FactBase[list[str]]):
    """The lines of pg_hba.conf or pg_ident.conf, without comments; none before the server runs."""

    default = list

    def command(self, file: str) -> str:
        return f'cat "$({_location(file)})" 2>/dev/null || true'

    def process(self, output: Iterable[str]) -> list[str]:
        return [line for line in output if line and not line.startswith("#")]


def converge_configuration(target: Target) -> None:
    """Make etcd's copy what the settings say; what they do not name is removed."""
    found = host.get_fact(Configuration, question=_question(target, "/config"))
    patch = difference(found, dynamic_configuration(target.manifest))
    differs = "; ".join(_differs(found, patch))
    perform(f"postgres: cluster configuration ({differs or 'current'})", _patch_configuration, patch, target)


def forget_hand_made_settings(target: Target) -> None:
    """Undo ALTER SYSTEM on this member."""
    names = host.get_fact(HandMadeSettings, data=paths.data_directory(target.manifest))
    perform(f"postgres: no ALTER SYSTEM ({', '.join(names) or 'none'})", _reset_settings, target if names else None)
    # What belongs to a recovery stays in force until the server starts again.
    recovered = host.get_fact(RecoverySettings) or any(name.startswith("recovery_target") for name in names)
    perform("postgres: restart after a recovery", _restart_here, target if recovered else None)


def forget_hand_made_access(wanted: Mapping[str, list[str]]) -> None:
    """Make pg_hba.conf and pg_ident.conf of this member what Patroni was given: it writes them only when its own settings
    change, and seconds later, when Keel already comes as a login that they admit."""
    for file, declared in wanted.items():
        found = host.get_fact(AccessLines, file=file)
        # Of a line only what it admits: its options may hold a password.
        more = ", ".join(" ".join(line.split()[:4]) for line in found if line not in declared)
        lines = declared if found and found != declared else []
        perform(f"postgres: {file}.conf ({more or ('changed' if lines else 'current')})", _write_access, file, lines)


def _location(file: str) -> str:
    """Shell: where the server reads pg_hba or pg_ident."""
    return f"psql -U postgres -d postgres -XAtc 'show {file.removeprefix('pg_')}_file'"


def forget_order() -> None:
    """Take away an order to recover: this member runs, so it was carried out, and it acts once."""
    waits = host.get_fact(Present, path=paths.RECOVERY_ORDER)
    perform("postgres: no order to recover waits", _remove, [paths.RECOVERY_ORDER] if waits else [])


def let_another_lead(target: Target) -> None:
    """Before Patroni restarts here, and its server with it: where this is the primary, it moves while clients are held."""
    perform("postgres: the primary moves, if it is here and another can lead", _moved, target)


def carry_out_restarts(target: Target) -> None:
    """Restart members whose settings wait for it: replicas first, the leader last and after a switchover."""
    said = host.get_fact(Members, question=_question(target, "/cluster"))
    members = patroni.members_of(target.manifest, said) if said else []
    pending = [member.name for member in members if member.pending_restart]
    perform(f"postgres: pending restarts ({', '.join(pending) or 'none'})", _rolling_restart, target, pending)


def difference(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The merge patch that makes ``found`` into ``wanted``. What only ``found`` has goes: a key that is not declared, such as
    `synchronous_mode_strict`, can stop writes (PLAT-38) as well as a changed one."""
    patch: dict[str, Any] = {key: None for key in found if key not in wanted}
    for key, value in wanted.items():
        before = found.get(key)
        if isinstance(value, dict):
            inner = difference(before if isinstance(before, dict) else {}, value)
            if inner:
                patch[key] = inner
        elif before != value:
            patch[key] = value
    return patch


def _differs(found: dict[str, Any], patch: dict[str, Any]) -> Iterator[str]:
    """Each key of the patch with what is found and what is declared."""
    for key, value in sorted(patch.items()):
        before = found.get(key)
        if isinstance(value, dict):
            yield from _differs(before if isinstance(before, dict) else {}, value)
        else:
            said = ("nothing" if each is None else json.dumps(each) for each in (before, value))
            yield f"{key} {' instead of '.join(said)}"


@operation()
def _patch_configuration(patch: dict[str, Any], target: Target) -> Commands:
    if patch:
        yield patroni.order(target.manifest, target.host.name, "/config", patch, method="PATCH")
        # Patroni tells which members must restart one loop after it has read the new configuration.
        yield call(_await_new_configuration, target)


@operation()
def _reset_settings(target: Target | None) -> Commands:
    if target:
        data = paths.data_directory(target.manifest)
        control = f"runuser -u postgres -- {paths.binaries(target.manifest)}/pg_ctl -D {data}"
        yield f"runuser -u postgres -- sed -i '/^#/!d' {data}/postgresql.auto.conf"
        yield f"! {control} status >/dev/null || {control} reload"  # a server that does not run reads it when it starts


@operation()
def _restart_here(target: Target | None) -> Commands:
    if target:
        # A checkpoint first, so that the restart itself is short; replicas that are being made begin anew.
        yield "psql -U postgres -d postgres -Xqc checkpoint"
        yield patroni.order(target.manifest, target.host.name, "/restart", {}, seconds=600)
        ready = patroni.ready(target.manifest, target.host.name)
        yield serving("patroni.service", ready, 300)


@operation()
def _write_access(file: str, lines: list[str]) -> Commands:
    if lines:
        yield f'printf "%s\\n" {shlex.join(lines)} > "$({_location(file)})"'
        yield "psql -U postgres -d postgres -Xqc 'select pg_reload_conf()'"


@operation()
def _remove(paths_: list[str]) -> Commands:
    for path in paths_:
        yield f"rm -f {shlex.quote(path)}"


@operation()
def _moved(target: Target) -> Commands:
    yield call(move_from, target.manifest, _reach(target), target.host.name, lambda _: None)


@operation()
def _rolling_restart(target: Target, pending: list[str]) -> Commands:
    if pending:
        waits = partial(_await_new_configuration, target)
        yield call(restart_all, target.manifest, _reach(target), target.host.name, waits, lambda _: None)


def _reach(target: Target) -> Reach:
    """Made where an operation runs: only there pyinfra knows its host and its state."""
    return Reach(partial(_ask, target), partial(_run, {each.name: each for each in host.state.activated_hosts}))


def _question(target: Target, path: str) -> str:
    return patroni.question(target.manifest, target.host.name, path)


def _ask(target: Target, member: str, path: str, data: Mapping[str, Any] | None = None) -> str:
    """Ask Patroni on ``member`` from the current host. Raises Refused with what it said."""
    succeeded, output = host.run_shell_command(StringCommand(patroni.command(target.manifest, member, path, data)))
    if not succeeded:
        raise Refused(f"Patroni on {member} refused {path}: {output.stdout or output.stderr}")
    return str(output.stdout)


def _run(connected: Mapping[str, Any], name: str, command: str) -> str:
    """Shell on one of the hosts that pyinfra is ``connected`` to. Raises Refused with what it said."""
    if name not in connected:
        raise Refused(f"{name} is not reached by this run")
    succeeded, output = connected[name].run_shell_command(StringCommand(command))
    if not succeeded:
        raise Refused(f"{name} did not do as it was asked: {output.stdout or output.stderr}")
    return str(output.stdout)


def _await_new_configuration(target: Target) -> None:
    loop_wait = float(json.loads(_ask(target, target.host.name, "/config"))["loop_wait"])
    gevent.sleep(loop_wait + 1)
