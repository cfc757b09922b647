"""When each host of a stage restarts a unit that is never away on two of them at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from gevent.event import Event
from gevent.lock import BoundedSemaphore

from roles.kit.results import OperationFailed


class Turns:
    """One turn per serial unit, held from its restart until it serves again. A host that goes last, so that what it holds for
    all moves once at the most, waits for those where the unit runs: one that is new may need it, and is not waited for."""

    def __init__(self, units: Iterable[tuple[str, str]] = ()) -> None:
        """``units``: each serial unit with each host that is worked on."""
        self._turn: defaultdict[str, BoundedSemaphore] = defaultdict(BoundedSemaphore)
        self._past = {pair: Event() for pair in units}
        self._failed: set[str] = set()
        self._last: dict[str, str] = {}
        """Unit → the host that waits for the others: while a primary moves two may take themselves for it."""

    @contextmanager
    def turn(self, unit: str, host: str, last: bool, announce: Callable[[str], None]) -> Iterator[None]:
        """The turn of a host. Raises OperationFailed, with the unit as it was, where it goes last and another host failed."""
        if last and self._last.setdefault(unit, host) == host:
            self._await_others(unit, host, announce)
        with self._turn[unit]:
            yield

    def past(self, unit: str, host: str) -> None:
        """No host waits for this unit of this host any more: it serves again, needs no restart or did not run."""
        if (unit, host) in self._past:
            self._past[unit, host].set()

    def failed(self, host: str) -> None:
        """This host takes no more turns."""
        self._failed.add(host)
        for (_, at), past in self._past.items():
            if at == host:
                past.set()

    def _await_others(self, unit: str, host: str, announce: Callable[[str], None]) -> None:
        others = {at: past for (name, at), past in self._past.items() if name == unit and at != host}
        if waiting := [at for at, past in others.items() if not past.is_set()]:
            announce(f"{unit} comes after {', '.join(waiting)}")
        for past in others.values():
            past.wait()
        if lost := sorted(self._failed & others.keys()):
            raise OperationFailed(
                f"{host}: {unit} was not restarted: it would have come after {', '.join(lost)}, which failed",
                f"{unit} runs on {host} as before",
                "Correct what failed there and run again",
            )
