"""Networks and ports of this machine, reserved: environments that are made at the same moment never get the same ones.

A slot is a number with a network of its own and a range of ports of its own. A test run holds one by a lock, until its process
ends, however it ends. An environment that `./keel env new` made keeps one by what is written in the slot's file, until
its stack file is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import IO

from environment.errors import UNCHANGED, KeelError
from ops.state.networks import port_is_free, used
from toolchain.cache import Cache

PORTS = 32
"""Per slot; all of them below 32768, where Linux begins to hand out ports for outgoing connections."""
NUMBERS = range(1, 250)

FOLDER = Cache.of(os.environ).root / "slots"
"""A file for each slot that was ever reserved, for all checkouts of this user."""

_held: dict[int, IO[str]] = {}


class NoSlot(KeelError):
    """Every slot is reserved or used."""


@dataclass(frozen=True)
class Slot:
    """One reserved network and range of ports."""

    number: int

    @property
    def network(self) -> IPv4Network:
        """Its addresses."""
        return IPv4Network(f"10.91.{self.number}.0/24")

    @property
    def port(self) -> int:
        """The first of its ``PORTS`` ports."""
        return 20000 + PORTS * self.number

    @property
    def ports(self) -> range:
        """All of them."""
        return range(self.port, self.port + PORTS)


@dataclass(frozen=True)
class Reservation:
    """Whose a slot is: an environment that was made like another one."""

    environment: str
    stack_file: Path
    like: str
    made: datetime

    @property
    def lasts(self) -> bool:
        """False once the stack file is gone."""
        return self.stack_file.exists()


def reserve(fits: Callable[[Slot], bool] = lambda _: True, numbers: Sequence[int] = NUMBERS) -> Slot:
    """The first slot that is not reserved, that ``fits``, whose network this machine does not have, and on whose ports no
    program listens. It is this process's until it ends or gives it away. Raises NoSlot."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    networks = used()
    for number in numbers:
        slot = Slot(number)
        if number in _held or any(slot.network.overlaps(network) for network in networks) or not fits(slot):
            continue
        file = (FOLDER / str(number)).open("a+")
        if _locked(file) and not _lasts(file) and all(map(port_is_free, slot.ports)):
            _held[number] = file
            return slot
        file.close()
    raise NoSlot(f"none of {len(numbers)} networks with {PORTS} ports each is free ({FOLDER})", UNCHANGED)


@contextmanager
def given(slot: Slot, reservation: Reservation) -> Iterator[None]:
    """Let the environment have a slot that this process reserved, from when its stack file is written here until that is gone."""
    written = {**vars(reservation), "stack_file": str(reservation.stack_file), "made": reservation.made.isoformat()}
    with _held.pop(slot.number) as file:
        file.truncate(0)
        file.write(json.dumps(written))
        file.flush()
        yield


def free(environment: str, stack_file: Path) -> None:
    """Forget what is reserved for this stack file, and for one of that name which is gone."""
    for slot, reservation in reservations():
        if reservation.environment == environment and (reservation.stack_file == stack_file or not reservation.lasts):
            os.truncate(FOLDER / str(slot.number), 0)


def reservations() -> Iterator[tuple[Slot, Reservation]]:
    """Those that were given, also where the stack file is gone since."""
    for number in NUMBERS:
        try:
            found = _read((FOLDER / str(number)).read_text())
        except FileNotFoundError:
            continue
        if found:
            yield Slot(number), found


@contextmanager
def alone() -> Iterator[None]:
    """Keep other processes of this user from giving slots to environments: what is looked at stays so meanwhile."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lasts(file: IO[str]) -> bool:
    file.seek(0)
    found = _read(file.read())
    return found is not None and found.lasts


def _read(text: str) -> Reservation | None:
    """None where there is none, or one that was not written to its end: then its stack file was not written either."""
    try:
        found = json.loads(text)
        return Reservation(
            found["environment"], Path(found["stack_file"]), found["like"], datetime.fromisoformat(found["made"])
        )
    except (ValueError, KeyError, TypeError):
        return None


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
