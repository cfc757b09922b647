"""What Keel relies on in pyinfra beyond its documentation: one test each, which says who relies on it.

They are to fail when a new pyinfra does otherwise, before a host notices. roles/kit/README.md lists them, with what
other tests show: pyinfra's command line (tests/unit/ops/hosts/test_pyinfra_command.py) and its connection (tests/unit/ops/hosts/test_host_keys.py).
"""

from __future__ import annotations

import inspect
import os
import pwd
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import gevent
import pyinfra
import pytest
from pyinfra import host
from pyinfra.api import FactBase, FunctionCommand, operation
from pyinfra.api.exceptions import NestedOperationError, OperationError, PyinfraError
from pyinfra.context import ctx_host
from pyinfra.facts.systemd import SystemdStatus
from pyinfra.operations import apt, files, systemd

from roles.kit import operations
from roles.kit.declare import Directory
from roles.kit.observe import HostState, PathState, UnitState
from roles.kit.results import perform
from tests.roles.hosts import Looked, here


def relied_on(holds: bool, what: str, where: str) -> None:
    """Fail with what pyinfra no longer does and the file that needs it."""
    assert holds, f"pyinfra {pyinfra.__version__} no longer does what {where} relies on: {what}"


def as_operation(function: Callable[..., Generator[Any]]) -> Any:
    """pyinfra's decorator; its types know no arguments of another type than its own."""
    return operation()(function)


@as_operation
def one(command: object) -> Generator[Any]:
    """An operation with one command."""
    yield command


@as_operation
def refusing() -> Generator[Any]:
    """An operation that refuses, as pyinfra's own do."""
    raise OperationError("not like this")
    yield


def test_an_operation_adds_one_hash_and_keeps_its_output_there() -> None:
    with here(dry=False):
        before = len(host.op_hash_order)
        for number in (1, 2):
            one(f"echo {number}", name=str(number))
        hashes = host.op_hash_order[before:]
        said = [host.state.get_op_data_for_host(host, each).operation_meta.stdout_lines for each in hashes]
    relied_on(
        said == [["1"], ["2"]], "host.op_hash_order grows by one per operation, whose output is found by it",
        "roles/kit/results.py:perform",
    )  # fmt: skip


def test_a_failed_operation_raises_where_it_stands() -> None:
    with here(dry=False):
        before = len(host.op_hash_order)
        with pytest.raises(OperationError) as raised:
            one("echo why >&2; false", name="fails")
        data = host.state.get_op_data_for_host(host, host.op_hash_order[before])
    where = "roles/kit/results.py:perform"
    relied_on(type(raised.value) is NestedOperationError, "a failed command raises NestedOperationError", where)
    relied_on(data.operation_meta.stderr_lines == ["why"], "the output of what failed is kept", where)


@pytest.mark.parametrize("dry", [True, False])
def test_what_an_operation_refuses_passes_unchanged(dry: bool) -> None:
    with here(dry), pytest.raises(OperationError) as raised:
        refusing(name="refuses")
    relied_on(
        type(raised.value) is OperationError, "an operation's own OperationError is not wrapped and is not swallowed",
        "roles/kit/results.py:perform",
    )  # fmt: skip


class NoAnswer(FactBase[str]):
    """A look that the host cannot do."""

    def command(self) -> str:
        return "exit 4"


def test_a_look_that_fails_on_the_only_host_raises() -> None:
    with here(dry=False), pytest.raises(PyinfraError) as raised:
        host.get_fact(NoAnswer)
    relied_on(
        not isinstance(raised.value, OperationError),
        "a fact's failure is a PyinfraError",
        "roles/kit/results.py:perform",
    )


def test_is_executing_decides_whether_an_operation_is_carried_out(tmp_path: Path) -> None:
    where = "ops/converge/run.py:_connected"
    with here(dry=True):
        meta = one(f"touch {tmp_path}/dry", name="dry")
        relied_on(
            not meta.is_complete() and meta.will_change, "with state.is_executing False it is only compared", where
        )
    with here(dry=False):
        meta = one(f"touch {tmp_path}/real", name="real")
        relied_on(meta.is_complete() and meta.did_change(), "with state.is_executing True it is done at once", where)
    assert [path.name for path in tmp_path.iterdir()] == ["real"]


def test_a_function_command_calls_with_its_arguments_and_its_error_is_a_failure() -> None:
    called: list[int] = []
    with here(dry=False):
        one(FunctionCommand(called.append, (7,), {}), name="call")
        with pytest.raises(NestedOperationError):
            one(FunctionCommand(lambda _: 1 / 0, (7,), {}), name="call")
    relied_on(called == [7], "FunctionCommand calls its function with its arguments", "roles/kit/results.py:call")


def test_each_greenlet_has_a_host_of_its_own() -> None:
    seen: list[str] = []

    def work(name: str) -> None:
        with ctx_host.use(name):
            gevent.sleep(0)
            seen.append(ctx_host.get())

    gevent.joinall([gevent.spawn(work, name) for name in ("db1", "db2")], raise_error=True)
    relied_on(seen == ["db1", "db2"], "the current host belongs to the greenlet", "ops/converge/run.py:_run_stage")


ARGUMENTS = {
    apt.packages: {"packages", "update", "no_recommends"},
    files.directory: {"path", "user", "group", "mode", "_no_fail_on_link"},
    systemd.service: {"service", "running", "command", "enabled"},
    systemd.daemon_reload: set[str](),
}


@pytest.mark.parametrize("stock", ARGUMENTS, ids=lambda stock: f"{stock.__module__}.{stock.__name__}")
def test_pyinfras_own_operations_can_be_used_inside_ours(stock: Any) -> None:
    inner = getattr(stock, "_inner", None)
    where = "roles/kit/operations.py"
    relied_on(inspect.isgeneratorfunction(inner), f"{stock.__name__}._inner is the generator itself", where)
    known = set(inspect.signature(inner).parameters)  # type: ignore[arg-type]
    relied_on(known >= ARGUMENTS[stock], f"{stock.__name__} takes {', '.join(sorted(ARGUMENTS[stock]))}", where)


def test_a_command_for_a_unit_is_given_whatever_its_state_is() -> None:
    """`restarted=True` is not: see roles/kit/operations.py:_systemctl."""
    for state in ("active", "inactive"):
        with ctx_host.use(Looked(HostState(units={"x.service": UnitState(state, "enabled")}))):
            given = [
                each.get_raw_value() for each in systemd.service._inner("x.service", running=None, command="restart")
            ]
        relied_on(
            given == ["systemctl restart x.service"], "command= is given and not compared",
            "roles/kit/operations.py:_systemctl",
        )  # fmt: skip
    relied_on(
        "reload" not in SystemdStatus.state_values,
        "a unit that reloads is not seen as running (if it now is, `restarted=True` will do)", "roles/kit/operations.py",
    )  # fmt: skip


def test_pyinfra_finds_a_directory_as_the_one_look_does(tmp_path: Path) -> None:
    """The work that is done for a difference leaves none; where it is a link, nothing is done."""
    folder, linked, me = tmp_path / "made" / "here", tmp_path / "linked", pwd.getpwuid(os.getuid()).pw_name
    wanted = Directory(str(folder), me, me, "750")
    with here(dry=False):
        assert perform("made", operations.directory, wanted, HostState()) is True
        assert (folder.stat().st_mode & 0o777, folder.owner(), folder.group()) == (0o750, me, me)
        relied_on(
            perform("again", operations.directory, wanted, HostState()) is False,
            "files.directory finds its own work done", "roles/kit/operations.py:directory",
        )  # fmt: skip
        linked.symlink_to(folder)
        state = HostState(paths={str(linked): PathState("symbolic link", "777", me, me, "")})
        relied_on(
            perform("link", operations.directory, Directory(str(linked), me, me, "700"), state) is False,
            "_no_fail_on_link leaves a link as it is", "roles/kit/operations.py:directory",
        )  # fmt: skip
    assert folder.stat().st_mode & 0o777 == 0o750
