"""Operations through pyinfra itself, on this machine: what is remembered, and how a failure is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import operation

from roles.kit import operations, results
from roles.kit.declare import Directory
from roles.kit.observe import HostState
from roles.kit.results import Entry, OperationFailed, call, perform
from tests.roles.hosts import here


@operation()
def command(run: str) -> Any:
    """An operation that has something to do."""
    yield run


@operation()
def nothing() -> Any:
    """An operation that finds everything as it should be."""
    yield from ()


@operation()
def function(broken: bool) -> Any:
    """An operation that calls Python."""
    yield call(refuse if broken else print)


def refuse() -> None:
    """Fail as a cluster operation does."""
    raise RuntimeError("switchover refused")


def test_an_operation_is_carried_out_where_it_stands(tmp_path: Path) -> None:
    with here(dry=False):
        assert perform("touch", command, f"touch {tmp_path}/there") is True
        assert (tmp_path / "there").exists()
        assert perform("nothing", nothing) is False
    assert results.entries == [Entry("@local", "touch", True), Entry("@local", "nothing", False)]


def test_a_dry_run_only_tells(tmp_path: Path) -> None:
    with here(dry=True):
        assert perform("touch", command, f"touch {tmp_path}/there") is True
        assert perform("nothing", nothing) is False
    assert not (tmp_path / "there").exists()
    assert [str(entry) for entry in results.entries if entry.changed] == ["@local: touch"]


def test_a_failed_command_is_told_with_host_name_and_output() -> None:
    with here(dry=False), pytest.raises(OperationFailed) as failed:
        perform("postgres: reload", command, "echo 'no such file' >&2; exit 3")
    assert str(failed.value).startswith("@local: postgres: reload: failed\n")
    assert "no such file" in str(failed.value)
    assert results.entries == []


def test_of_a_long_output_the_end_is_shown() -> None:
    """Five lines of what it printed, fifteen of its errors, indented; of the operation that failed and not of the one before."""
    with here(dry=False), pytest.raises(OperationFailed) as failed:
        perform("before", command, "echo before; echo before >&2")
        perform("long", command, "seq 1 9; seq 101 120 >&2; false")
    shown = [*range(5, 10), *range(106, 121)]
    assert str(failed.value) == "\n".join(["@local: long: failed", *(f"    {line}" for line in shown)])


def test_a_failed_function_is_told_with_its_reason() -> None:
    """pyinfra would only log it."""
    with here(dry=False), pytest.raises(OperationFailed, match="switchover refused"):
        perform("postgres: restart", function, True)


def test_what_pyinfra_refuses_by_itself_is_told(tmp_path: Path) -> None:
    """Its own operations say so before any command; a dry run counts it as a difference and goes on."""
    (tmp_path / "file").touch()
    folder = Directory(str(tmp_path / "file"))
    with here(dry=False), pytest.raises(OperationFailed) as failed:
        perform("base: directory", operations.directory, folder, HostState())
    assert str(failed.value) == f"@local: base: directory: {tmp_path}/file exists and is not a directory"
    assert results.entries == []
    with here(dry=True):
        assert perform("base: directory", operations.directory, folder, HostState()) is True
        assert perform("nothing", nothing) is False
    assert results.entries == [Entry("@local", "base: directory", True), Entry("@local", "nothing", False)]
