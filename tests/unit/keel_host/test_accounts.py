"""Work that is done as another account."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from keel_host import accounts
from keel_host.processes import Failed, program


@pytest.fixture
def stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root can become another; here everybody stays who they are."""
    monkeypatch.setattr(accounts, "become", lambda account: None)


def test_it_is_done_by_a_process_that_becomes_the_account_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """W0: without the groups of who started it, and before anything else."""
    done: list[object] = []
    monkeypatch.setattr(pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=f"uid of {name}", pw_gid=f"gid of {name}"))
    for call in ("setgroups", "setgid", "setuid", "chdir"):
        monkeypatch.setattr(os, call, lambda given, call=call: done.append([call, given]))
    assert accounts.apart("keel-scratch", lambda: [*done, os.getpid()]) == [
        ["setgroups", []], ["setgid", "gid of keel-scratch"], ["setuid", "uid of keel-scratch"], ["chdir", "/"],
        pytest.approx(os.getpid(), abs=10**7),
    ]  # fmt: skip
    assert done == [], "this process stays who it is"


def test_what_goes_wrong_there_is_told_here(stays: None) -> None:
    def fail() -> None:
        raise ValueError("no such table")

    for work, words in ((fail, "no such table"), (lambda: os._exit(3), "died"), (lambda: os, "JSON")):
        with pytest.raises(Failed, match=words):
            accounts.apart("keel-scratch", work)


def test_an_account_that_is_not_there_does_nothing() -> None:
    with pytest.raises(Failed, match="keel-nobody"):
        accounts.apart("keel-nobody", lambda: Path("/").exists())


def test_it_holds_no_lock_of_who_started_it(stays: None, tmp_path: Path) -> None:
    """A drill that is killed must not live on in its question."""
    held = os.open(tmp_path, os.O_RDONLY)
    assert accounts.apart("keel-scratch", lambda: Path(f"/proc/self/fd/{held}").exists()) is False
    os.close(held)


def test_a_command_of_another_account_is_called_by_its_own_name() -> None:
    assert program(accounts.command("keel-scratch", "/usr/bin/pg_ctl", "start")) == "pg_ctl"
    assert program(("/usr/bin/psql", "-X")) == "psql"
