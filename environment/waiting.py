"""Waiting: every wait has an end, and says then what was waited for and what was said of it last."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from environment.errors import KeelError, explained

T = TypeVar("T")


class NotReached(KeelError):
    """What was waited for did not come: what, how long, what was said of it last."""


def until(
    look: Callable[[], T],
    seconds: float,
    what: str,
    *,
    last: Callable[[], str] | None = None,
    moves: Callable[[], object] | None = None,
    every: float = 0.5,
    despite: tuple[type[Exception], ...] = (),
    error: type[KeelError] = NotReached,
    left: str = "",
    advice: str = "",
) -> T:
    """What ``look`` returns, as soon as that is true. It is asked ``every`` so many seconds, and again ``despite`` some errors.

    Raises ``error`` after ``seconds``; where ``moves`` says how far the work is, after as many in which it stayed the same.
    ``last`` is asked only then: what the service that is waited for says for itself.
    """
    end, before = time.monotonic() + seconds, object()
    while True:
        refusal = ""
        try:
            if found := look():
                return found
        except despite as again:
            refusal = _text(again)
        if moves and (now := moves()) != before:
            end, before = time.monotonic() + seconds, now
        if time.monotonic() >= end:
            waited = f"waited {seconds:.0f} s {'without progress ' if moves else ''}for {what}"
            raise error(waited + _quoted(_word(last, refusal)), left, advice)
        time.sleep(every)


def _word(last: Callable[[], str] | None, refusal: str) -> str:
    """The service's last word and the last refusal. Not to get one must not hide that the wait ended."""
    try:
        said = last().strip() if last else ""
    except Exception as error:
        said = f"(it cannot be asked: {_text(error)})"
    return "\n".join(filter(None, (refusal, said)))


def _text(error: Exception) -> str:
    return explained(error) or str(error) or repr(error)


def _quoted(said: str) -> str:
    lines = said.splitlines()
    return ":\n" + "\n".join(f"    {line}" for line in lines) if len(lines) > 1 else f": {said}" if said else ""
