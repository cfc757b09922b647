"""Every wait goes through one place, ends, and says then what was waited for."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from environment.errors import KeelError
from environment.load import ROOT
from environment.waiting import NotReached, until
from tests.unit.environment.test_errors import PACKAGES
from tests.unit.hosts import Clock

OTHERS = {
    "environment/waiting.py": "the place",
    "migrations/session.py": "Alembic tells its own class of errors; a connection waits for its turn",
    "toolchain/engine.py": "runs before there is anything of Keel's",
    "processes/pulumi_engine.py": "watches for as long as its process lives",
    "roles/postgres/cluster.py": "Patroni tells of its new configuration one loop later, and nothing before",
    "keel_host/programs/drill.py": "runs on a host, without environment/; it has an end of its own",
    "keel_host/programs/job.py": "runs on a host, without environment/; it waits for a primary, with an end",
    "keel_host/programs/watch_logins.py": "runs on a host, without environment/, for as long as the host; it watches",
    "keel_host/programs/hold_writes.py": "runs on a host, without environment/; it has an end of its own",
    "keel_host/programs/run_pooler.py": "runs on a host, without environment/; it waits for the logins of clients, with an end",
    "keel_host/scratch.py": "runs on a host, without environment/; it ends with the server that it follows",
    "keel_host/programs/share_cores.py": "runs on a host, for as long as the host; it waits for nothing, it watches",
}
"""File → why it waits by itself."""


def test_no_wait_is_elsewhere() -> None:
    """tenacity would raise a RetryError at a person, a loop around a sleep has no end."""
    found = set()
    for package in (*PACKAGES, "keel_host"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                imports = isinstance(node, ast.ImportFrom | ast.Import) and "tenacity" in ast.unparse(node)
                sleeps = isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".sleep", ".wait"))
                if imports or (sleeps and isinstance(node, ast.Call) and node.args):
                    found.add(str(path.relative_to(ROOT)))
    assert found == OTHERS.keys()


def test_what_comes_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, answers = Clock(monkeypatch), list[Any](["", OSError("refused"), "db1"])

    def look() -> str:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return str(answer)

    assert until(look, 10, "a primary", despite=(OSError,)) == "db1"
    assert clock.waits == [0.5, 0.5]


def test_an_end_says_what_how_long_and_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with pytest.raises(NotReached) as ended:
        until(lambda: "", 5, "a primary", last=lambda: "db1: starting\n", left="db1 runs on", advice="Look there")
    assert str(ended.value) == "waited 5 s for a primary: db1: starting. db1 runs on. Look there"
    assert clock.now == 5


def test_a_last_word_of_several_lines_stands_below(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was answered instead, where that is an error."""
    Clock(monkeypatch)

    def refuse() -> bool:
        raise ConnectionRefusedError("Connection refused")

    with pytest.raises(NotReached) as ended:
        until(refuse, 5, "SSH", last=lambda: "b\nc", despite=(OSError,), advice="Look there")
    assert str(ended.value) == "waited 5 s for SSH:\n    Connection refused\n    b\n    c\nLook there"


def test_a_service_that_has_no_last_word_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)

    def silent() -> str:
        raise TimeoutError("timed out")

    with pytest.raises(NotReached, match=r"^waited 5 s for a primary: \(it cannot be asked: timed out\)$"):
        until(lambda: False, 5, "a primary", last=silent)


def test_other_errors_end_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    def broken() -> bool:
        raise KeyError("state")

    with pytest.raises(KeyError):
        until(broken, 5, "a primary", despite=(OSError,))
    assert clock.now == 0


def test_what_moves_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time counts from the last move; the caller's class is raised."""

    class Failed(KeelError):
        pass

    clock = Clock(monkeypatch)
    with pytest.raises(Failed, match=r"^waited 10 s without progress for the copy$"):
        until(lambda: False, 10, "the copy", moves=lambda: min(clock.now, 60), every=1, error=Failed)
    assert clock.now == 70
