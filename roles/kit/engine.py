"""Carry out the roles' declarations on one host, through pyinfra, in the order of the list in roles/order.py.

The same code runs for real (each operation is carried out at once) and dry (pyinfra's prepare stage:
each operation only says whether it would change something).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from pyinfra import host as pyinfra_host

from roles import paths
from roles.kit import differences, operations
from roles.kit.declare import Role, Target, Unit
from roles.kit.observe import HostState, ObserveHost
from roles.kit.results import perform
from roles.kit.turns import Turns

SYSTEMD_FILES = (f"{paths.UNITS}/", "/usr/lib/systemd/system/")


def converge(roles: Sequence[Role], target: Target, announce: Callable[[str], None], turns: Turns) -> None:
    """Bring ``target`` to what ``roles`` declare. ``announce`` receives each role's name before it starts, and what it waits for."""
    try:
        state = observe(roles, target)
        for unit in (unit for role in roles for unit in role.units(target)):
            if not _runs(unit, state):
                turns.past(unit.name, target.host.name)
        for role in roles:
            announce(role.name)
            _apply(role, target, state, announce, turns)
    except BaseException:
        turns.failed(target.host.name)
        raise


def observe(roles: Sequence[Role], target: Target) -> HostState:
    """What is found on the host of everything that ``roles`` declare."""
    certificates = [c for role in roles for c in role.certificates(target)]
    paths = [f.path for role in roles for f in role.files(target)]
    paths += [d.path for role in roles for d in role.directories(target)]
    paths += [path for pair in certificates for path in (*operations.modes(pair), operations.link(pair))]
    units = [unit for role in roles for unit in role.units(target)]
    found: HostState = pyinfra_host.get_fact(
        ObserveHost,
        paths=paths,
        units=[unit.name for unit in units],
        certificates=[c.directory for c in certificates],
        triggers=[trigger for unit in units for trigger in unit.triggers],
        read=[(d.path, d.read) for role in roles for d in role.directories(target) if d.read],
    )
    return found


def _apply(role: Role, target: Target, state: HostState, announce: Callable[[str], None], turns: Turns) -> None:
    changed: set[str] = set()

    def run(path: str | None, text: str, operation: Any, *arguments: Any, differs: str = "") -> None:
        if perform(f"{role.name}: {text}", operation, *arguments, differs=differs) and path:
            changed.add(path)

    wanted = role.packages(target)
    run(None, "packages", operations.packages, wanted, state, differs=differences.packages(wanted, state))
    for folder in role.directories(target):
        run(
            folder.path,
            f"directory {folder.path}",
            operations.directory,
            folder,
            state,
            differs=differences.path(folder, state),
        )
    for pair in role.certificates(target):
        run(pair.directory, f"certificate {pair.directory}", operations.certificate, pair, target.roots, state)
    files = role.files(target)
    for wanted_file in files:
        differs = differences.path(wanted_file, state)
        run(wanted_file.path, f"file {wanted_file.path}", operations.file, wanted_file, state, differs=differs)
    declared = {file.path for file in files}
    for folder in (folder for folder in role.directories(target) if folder.read):
        strays = differences.strays(folder, state, declared)
        run(
            folder.path,
            f"only declared files in {folder.path}",
            operations.put_aside,
            strays,
            differs=", ".join(strays),
        )
    stale = {(unit.name, "restart") for unit in role.units(target)} & state.stale
    if stale or any(path.startswith(SYSTEMD_FILES) for path in changed):
        run(None, "systemd reads its unit files", operations.daemon_reloaded)
    for unit in role.units(target):
        strays = differences.dropins(unit.name, state, declared)
        turn = partial(_turn, role, unit, target, announce, turns)
        _apply_unit(unit, state, frozenset(changed), turn, run, strays)
        turns.past(unit.name, target.host.name)
    role.activate(target, frozenset(changed))


@contextmanager
def _turn(role: Role, unit: Unit, target: Target, announce: Callable[[str], None], turns: Turns) -> Iterator[None]:
    """When a unit may restart, with those who use it led elsewhere."""
    if not unit.serial:
        role.makes_way(target, unit)
        yield
        return
    last = role.goes_last(target, unit)
    with turns.turn(unit.name, target.host.name, last, lambda said: announce(f"{role.name}: {said}")):
        role.makes_way(target, unit)
        yield


def _apply_unit(
    unit: Unit,
    state: HostState,
    changed: frozenset[str],
    turn: Callable[[], AbstractContextManager[None]],
    run: Callable[..., None],
    strays: tuple[str, ...] = (),
) -> None:
    if strays:
        run(None, f"unit {unit.name} without {', '.join(strays)}", operations.no_dropins, strays)
    differs = differences.unit(unit.name, state, running=False)
    run(None, f"unit {unit.name} enabled", operations.unit_enabled, unit.name, state, differs=differs)
    wanted = {unit.reaction(changed), *(kind for name, kind in state.stale if name == unit.name)}
    wanted |= {"restart"} if strays else set()
    if not _runs(unit, state):
        differs = differences.unit(unit.name, state, running=True)
        run(None, f"unit {unit.name} running", operations.unit_running, unit, state, differs=differs)
        _await(unit, run)
    elif "restart" in wanted:
        with turn():
            run(None, f"unit {unit.name} restarted", operations.unit_restarted, unit)
            _await(unit, run)
    elif "reload" in wanted:
        run(None, f"unit {unit.name} reloaded", operations.unit_reloaded, unit)


def _runs(unit: Unit, state: HostState) -> bool:
    found = state.units.get(unit.name)
    return found is not None and found.active == "active"


def _await(unit: Unit, run: Callable[..., None]) -> None:
    if unit.ready:
        run(None, f"unit {unit.name} serves", operations.unit_ready, unit)
