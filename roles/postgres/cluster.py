"""Operations on a member and on the cluster as a whole: what was set by hand, the configuration in etcd, pending restarts."""

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
from roles.postgres import files, patroni
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


class RecoverySettings(FactBase[list[str]]):
    """Names of what a recovery set and that waits for a restart to be as it should again."""

    default = list

    def command(self) -> str:
        query = "select name from pg_settings where pending_restart and (name = 'hot_standby' or name like 'recovery_target%')"
        return f"psql -U postgres -d postgres -XAtc {shlex.quote(query)} 2>/dev/null || true"

    def process(self, output: Iterable[str]) -> list[str]:
        return [line for line in output if line]


def converge_configuration(target: Target) -> None:
    """Make etcd's copy what the settings say; what they do not name is removed."""
    found = host.get_fact(Configuration, question=_question(target, "/config"))
    patch = difference(found, dynamic_configuration(target.manifest))
    differs = "; ".join(_differs(found, patch))
    perform(f"postgres: cluster configuration ({differs or 'current'})", _patch_configuration, patch, target)


def forget_hand_made(target: Target, given: Mapping[str, Any]) -> None:
    """Make this member's files what they should be, and what its server does. ``given``: the part `postgresql` of its Patroni."""
    recovered = bool(host.get_fact(RecoverySettings))
    if found := host.get_fact(files.ServerFiles, data=paths.data_directory(target.manifest)):
        configuration = host.get_fact(Configuration, question=_question(target, "/config"))
        # What belongs to a recovery stays in force until the server starts again.
        recovered |= files.forget_hand_made(target, found, given, configuration)
    perform("postgres: restart after a recovery", _restart_here, target if recovered else None)


def forget_order() -> None:
    """Take away an order to recover: this member runs, so it was carried out, and it acts once."""
    waits = host.get_fact(Present, path=paths.RECOVERY_ORDER)
    perform("postgres: no order to recover waits", _remove, [paths.RECOVERY_ORDER] if waits else [])


def leads(target: Target) -> bool:
    """Whether the primary is on this host; False where Patroni is silent."""
    said = host.get_fact(Members, question=_question(target, "/cluster"))
    return any(member.leads and member.name == target.host.name for member in _members(target, said))


def let_another_lead(target: Target) -> None:
    """Before Patroni restarts here, and its server with it: where this is the primary, it moves while clients are held."""
    perform("postgres: the primary moves, if it is here and another can lead", _moved, target)


def carry_out_restarts(target: Target) -> None:
    """Restart members whose settings wait for it: replicas first, the leader last and after a switchover."""
    said = host.get_fact(Members, question=_question(target, "/cluster"))
    pending = [member.name for member in _members(target, said) if member.pending_restart]
    perform(f"postgres: pending restarts ({', '.join(pending) or 'none'})", _rolling_restart, target, pending)


def _members(target: Target, said: str) -> list[patroni.Member]:
    return patroni.members_of(target.manifest, said) if said else []


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
def _restart_here(target: Target | None) -> Commands:
    if target:
        # A checkpoint first, so that the restart itself is short; replicas that are being made begin anew.
        yield "psql -U postgres -d postgres -Xqc checkpoint"
        yield patroni.order(target.manifest, target.host.name, "/restart", {}, seconds=600)
        ready = patroni.ready(target.manifest, target.host.name)
        yield serving("patroni.service", ready, 300)


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
