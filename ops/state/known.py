"""Which environments there are: stack files, reservations of other checkouts, what Docker has, and Pulumi's stacks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from environment import kind, load
from environment.kind import Kind
from environment.names import LABEL
from ops.hosts.docker import DockerFailed, docker
from ops.state import slots, stack
from ops.state.copies import mark
from ops.state.slots import Reservation, Slot

Answer = TypeVar("Answer")

VALUE = '{{.Label "' + LABEL + '"}}'
LISTINGS = {
    "containers": ("ps", "-a", VALUE + "\t{{.State}}\t{{.CreatedAt}}"),
    "volumes": ("volume", "ls", VALUE + "\t-\t-"),
    "networks": ("network", "ls", VALUE + "\t-\t{{.CreatedAt}}"),
}
"""Docker's arguments for a list of what it has: name of the environment, state, time."""


class Item(NamedTuple):
    """A container, a volume or a network."""

    what: str
    state: str
    made: datetime | None


@dataclass(frozen=True)
class Known:
    """An environment as far as it is known here. ``stack_file``: where it is, or was; None where that cannot be known."""

    name: str
    kind: Kind | None = None
    like: str | None = None
    made: datetime | None = None
    network: str | None = None
    stack_file: Path | None = None
    in_state: bool = False
    items: tuple[Item, ...] = ()

    @property
    def is_copy(self) -> bool:
        """True where `./keel env new` made it: the mark in its file says so, or the reservation."""
        return self.like is not None

    @property
    def has_file(self) -> bool:
        """False where its stack file is gone, or where it is cannot be known."""
        return self.stack_file is not None and self.stack_file.exists()

    @property
    def is_elsewhere(self) -> bool:
        """True where its stack file is in another checkout."""
        return self.has_file and self.stack_file != load.stack_file(self.name).resolve()

    @property
    def containers(self) -> tuple[int, int]:
        """How many run, and how many there are."""
        states = [item.state for item in self.items if item.what == "containers"]
        return states.count("running"), len(states)

    @property
    def traces(self) -> str:
        """What there is of it apart from a stack file, in words; empty where there is nothing."""
        return ", ".join(
            [*([f"Docker has {self.holds} of it"] if self.items else []), *["Pulumi has its stack"] * self.in_state]
        )

    @property
    def holds(self) -> str:
        """What Docker has of it, in words."""
        counted = Counter(item.what for item in self.items)
        return ", ".join(f"{count} {what if count > 1 else what[:-1]}" for what, count in counted.items()) or "nothing"


def environments(*, surely: bool = False) -> list[Known]:
    """All of them, by name. Where Docker or Pulumi does not answer, its part is left out; ``surely`` raises what it said."""
    items, states = _asked(docker_items, surely) or {}, _asked(stack.names, surely) or set()
    reserved = {found.environment: (slot, found) for slot, found in slots.reservations()}
    files = {path.name.split(".")[1]: path for path in load.STACKS.glob("Pulumi.*.yaml")}
    names = sorted({*items, *files, *states, *(name for name, (_, found) in reserved.items() if found.lasts)})
    return [_known(name, items.get(name, ()), files.get(name), reserved.get(name), name in states) for name in names]


def docker_items() -> dict[str, tuple[Item, ...]]:
    """Environment → what Docker has of it."""
    found = defaultdict[str, list[Item]](list)
    for what, (*listing, form) in LISTINGS.items():
        for line in docker(*listing, "--filter", f"label={LABEL}", "--format", form).splitlines():
            name, state, made = line.split("\t")
            found[name].append(Item(what, state, _time(made)))
    return {name: tuple(items) for name, items in found.items()}


def _known(
    name: str, items: tuple[Item, ...], file: Path | None, reserved: tuple[Slot, Reservation] | None, in_state: bool
) -> Known:
    times = [item.made for item in items if item.made]
    known = Known(name, items=items, in_state=in_state, made=min(times, default=None))
    if file is not None or reserved is None:
        return _of_file(known, file) if file else known
    slot, found = reserved
    if found.lasts:
        return _of_file(known, found.stack_file)
    return replace(known, network=str(slot.network), like=found.like, made=found.made, stack_file=found.stack_file)


def _of_file(known: Known, path: Path) -> Known:
    known = replace(known, stack_file=path.resolve(), kind=_kind(path))
    try:
        known = replace(known, network=load.plain(load.read_stack_file(path)["keel:network"])["cidr"])
        found = mark(path)
    except (load.InvalidStack, KeyError, TypeError):
        return known
    return replace(known, like=found.like, made=found.made) if found else known


def _kind(path: Path) -> Kind | None:
    try:
        return kind.stated(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _asked(question: Callable[[], Answer], surely: bool) -> Answer | None:
    """The answer; None where the program is not there, or does not answer and need not."""
    try:
        return question()
    except FileNotFoundError:
        return None
    except (DockerFailed, stack.PulumiFailed):
        if surely:
            raise
        return None


def _time(text: str) -> datetime | None:
    """As Docker's lists print it: `2026-01-31 09:30:00[.123] +0000 UTC`."""
    day, _, rest = text.partition(" ")
    clock, _, zone = rest.partition(" ")
    try:
        return datetime.strptime(f"{day} {clock[:8]} {zone[:5]}", "%Y-%m-%d %H:%M:%S %z").astimezone(UTC)
    except ValueError:
        return None
