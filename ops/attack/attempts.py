"""What an attempt is: a function that tries to get through a wall, against whatever in the environment it can be tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pkgutil import iter_modules
from subprocess import SubprocessError
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from environment.errors import KeelError
from environment.report import Report

if TYPE_CHECKING:
    from ops.attack.attacker import Attacker


class Tried(NamedTuple):
    """One try of an attempt."""

    subject: str
    """As whom, and at what."""
    succeeded: bool | None
    """None: it could not be tried, so nothing is proven."""
    said: str = ""
    """What came back."""


Function = Callable[["Attacker"], Iterator[Tried]]


class Attempt(NamedTuple):
    """An attempt, and what it means when all of its tries are refused."""

    wall: str
    """Of the review of security: W0 to W15, or `doors`."""
    name: str
    proves: str
    carry_out: Function
    waits: bool = False
    """For the environment to act: others are carried out meanwhile."""


class Result(NamedTuple):
    """An attempt that was carried out."""

    attempt: Attempt
    tries: tuple[Tried, ...]

    @property
    def successes(self) -> list[Tried]:
        """Where the wall did not hold."""
        return [each for each in self.tries if each.succeeded]

    @property
    def untried(self) -> list[Tried]:
        """What proves nothing."""
        return [each for each in self.tries if each.succeeded is None]

    @property
    def document(self) -> dict[str, object]:
        """For programs."""
        names = {key: getattr(self.attempt, key) for key in ("wall", "name", "proves")}
        return {**names, "tries": [each._asdict() for each in self.tries]}


def exit_status(results: Sequence[Result]) -> int:
    """0 where everything was refused, 1 where anything succeeded, 2 where something could not be tried."""
    if any(result.successes for result in results):
        return 1
    return 2 if any(result.untried for result in results) else 0


def must_work(subject: str, works: bool, said: str = "") -> Iterator[Tried]:
    """What is allowed works by the same means. Where it does not, a refusal proves nothing."""
    if not works:
        yield Tried(f"{subject}, which must work", None, said)


KNOWN: list[Attempt] = []


def attempt(wall: str, *, waits: bool = False) -> Callable[[Function], Function]:
    """Mark a function as an attempt at ``wall``; the first line of its docstring says what it proves."""

    def known(function: Function) -> Function:
        proves = (function.__doc__ or "").partition("\n")[0]
        KNOWN.append(Attempt(wall, function.__name__, proves, function, waits))
        return function

    return known


def every() -> list[Attempt]:
    """All attempts, by wall."""
    package = import_module("ops.attack")
    for module in iter_modules(package.__path__, "ops.attack."):
        import_module(module.name)
    return sorted(KNOWN, key=lambda known: (len(known.wall), known.wall, known.name))


class UnknownWall(KeelError):
    """A wall at which there is no attempt: what was asked for, and what there is."""


def chosen(walls: Sequence[str]) -> list[Attempt]:
    """The attempts at some walls, or one by its name; all of them where none is asked for. Raises UnknownWall."""
    known = every()
    found = [each for each in known if not walls or {each.wall, each.name} & {*walls}]
    if unknown := {*walls} - {each.wall for each in known} - {each.name for each in known}:
        there = ", ".join(dict.fromkeys(each.wall for each in known))
        raise UnknownWall(f"there is no attempt at {', '.join(sorted(unknown))}; there are {there}")
    return found


def carry_out(wanted: Attempt, attacker: Attacker) -> Result:
    """Try it. What cannot be tried is part of the result, and proves nothing."""
    tries: list[Tried] = []
    try:
        tries += wanted.carry_out(attacker)
    except (KeelError, SubprocessError, OSError, psycopg.Error) as error:
        tries.append(Tried("the attempt itself", None, " ".join(str(error).split())[:300]))
    return Result(wanted, tuple(tries))


def carry_out_all(wanted: Sequence[Attempt], attacker: Attacker, report: Report) -> list[Result]:
    """All of them, one after the other; those that wait, at the same time."""
    with ThreadPoolExecutor() as pool:
        waiting = {each.name: pool.submit(carry_out, each, attacker) for each in wanted if each.waits}
        done = {}
        for each in wanted:
            if not each.waits:
                report(f"{each.wall}: {each.name}")
                done[each.name] = carry_out(each, attacker)
        for name, future in waiting.items():
            report(f"{name} waits for its end")
            done[name] = future.result()
    return [done[each.name] for each in wanted]
