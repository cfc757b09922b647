"""`keel adopt` shows what it would record and asks; where there is nothing of Docker's it says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ops.cli.app import app
from ops.hosts import lock
from ops.state import adopt
from ops.state.docker_diff import Difference
from ops.state.from_plan import Adoption, Found
from tests.unit.cli_fakes import environment, session
from tests.unit.ops.state.test_adopt import FOUND, PLAN

CHANGED = {**FOUND, "container": Found("c1", "sha256:new", {"memory": Difference(512, 2048)})}


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An environment whose state is lost, and what was done about it."""
    calls: list[str] = []

    @contextmanager
    def held(_session: Any, hosts: list[str]) -> Iterator[None]:
        calls.append(f"lock {','.join(hosts)}")
        yield
        calls.append("free")

    @contextmanager
    def opened(*_: Any) -> Iterator[Any]:
        yield session(tmp_path)

    monkeypatch.setattr("ops.hosts.environment.load_environment", lambda name: environment(stack=name))
    monkeypatch.setattr("ops.hosts.session.open_session", opened)
    monkeypatch.setattr(lock, "held", held)
    monkeypatch.setattr(adopt, "look", lambda *_, **__: Adoption(PLAN, CHANGED, "sha256:new"))
    monkeypatch.setattr(adopt, "rehearse", lambda *_: adopt.Rehearsal({"version": 3}, ["replace container db1"]))
    monkeypatch.setattr(adopt, "write", lambda _session, state: calls.append(f"write {state}"))
    return calls


def run(*options: str, stack: str = "dev", given: str | None = None) -> Result:
    return CliRunner().invoke(app, ["--env", stack, "adopt", *options], input=given)


def test_it_shows_both_and_what_comes_of_it_and_writes_under_the_lock(done: list[str]) -> None:
    result = run("--yes")
    assert result.exit_code == 0
    assert ["keel-dev-db1", "memory", "512", "2048"] in [line.split() for line in result.stdout.splitlines()]
    assert "the next `up` would replace container db1" in result.stdout
    assert done == ["lock db1", "write {'version': 3}", "free"]


def test_without_an_answer_nothing_is_written(done: list[str]) -> None:
    """Design, principle 9."""
    result = run()
    assert result.exit_code == 2
    assert "Nothing was changed. Add --yes" in result.stderr
    assert "write" not in " ".join(done)


@pytest.mark.parametrize(("answer", "status"), [("dev\n", 0), ("y\n", 1)])
def test_it_asks_for_the_name(done: list[str], monkeypatch: pytest.MonkeyPatch, answer: str, status: int) -> None:
    monkeypatch.setattr("ops.cli.console.terminal", lambda: True)
    assert run(given=answer).exit_code == status
    assert ("write {'version': 3}" in done) == (status == 0)


def test_machines_are_not_in_the_state(done: list[str]) -> None:
    result = run("--yes", stack="staging")
    assert result.exit_code == 0 and "`make up ENV=staging` is enough" in result.stdout
    assert done == []
