"""Attempts at walls: what there is, what is chosen, and what a try that cannot be made means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.attack import attempts
from ops.attack.attempts import Attempt, Tried, UnknownWall, carry_out, chosen, every, must_work
from ops.cli.app import app
from ops.hosts.session import Unreachable
from tests.system.breaches import BREACHES
from tests.system.test_38_attack import OPEN

ATTACKER: Any = object()


def test_each_says_what_it_proves() -> None:
    """A sentence for people, and a wall of the review."""
    walls = {f"W{number}" for number in range(16)} | {"doors"}
    for each in every():
        assert each.wall in walls and each.proves.endswith("."), each.name
    assert len({each.name for each in every()}) == len(every())


def test_each_is_shown_to_succeed() -> None:
    """No attempt without a proof that it would be noticed: a wall that is taken down, or one that is not there yet."""
    assert {each.name for each in every()} == BREACHES.keys() | OPEN.keys()
    assert not BREACHES.keys() & OPEN.keys()


def test_a_wall_or_a_name_is_chosen() -> None:
    """Everything without an argument; what there is not is told."""
    assert {each.wall for each in chosen(["W2", "names_of_users"])} == {"W2", "W15"}
    assert chosen([]) == every()
    with pytest.raises(UnknownWall, match="no attempt at W99; there are"):
        chosen(["W99"])


def attempt(*tries: Tried, error: Exception | None = None) -> Attempt:
    """One with these tries, which then may fail."""

    def carried_out(_: Any) -> Iterator[Tried]:
        yield from tries
        if error:
            raise error

    return Attempt("W1", "fake", "It proves nothing.", carried_out)


def test_what_cannot_be_tried_proves_nothing() -> None:
    """What was tried before it counts; a mistake of the attempt's own is none of these."""
    result = carry_out(attempt(Tried("a", True, "in"), error=Unreachable("db1 is away")), ATTACKER)
    assert result.successes == [Tried("a", True, "in")]
    assert [each.said for each in result.untried] == ["db1 is away"]
    with pytest.raises(KeyError):
        carry_out(attempt(error=KeyError("mistake")), ATTACKER)


def test_a_control_that_fails_proves_nothing() -> None:
    """What is allowed must work by the same means."""
    assert not [*must_work("its own", True)]
    (control,) = must_work("its own", False, "HTTP 000")
    assert control == Tried("its own, which must work", None, "HTTP 000")


@pytest.mark.parametrize(
    ("tries", "status"),
    [
        ([Tried("a", False)], 0),
        ([Tried("a", False), Tried("b", None)], 2),
        ([Tried("a", None), Tried("b", True, "in")], 1),
    ],
)
def test_the_exit_status(monkeypatch: pytest.MonkeyPatch, tries: list[Tried], status: int) -> None:
    """PLAT-49: 0 only where everything was tried and refused; the document holds every try."""
    monkeypatch.setattr("ops.hosts.environment.open_environment", lambda _: nullcontext(None))
    monkeypatch.setattr(attempts, "every", lambda: [attempt(*tries)])
    done = CliRunner().invoke(app, ["verify", "--attack", "--json"])
    assert done.exit_code == status, done.output
    (document,) = json.loads(done.stdout)
    assert [Tried(**each) for each in document["tries"]] == tries
    assert document["proves"] == "It proves nothing."
    told = CliRunner().invoke(app, ["verify", "--attack"])
    assert told.exit_code == status
    assert f"{sum(bool(each.succeeded) for each in tries)} of {len(tries)} tries succeeded" in told.stdout
