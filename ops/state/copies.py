"""A stack file like another one: with a network and ports of its own, made for a pull request or a try and removed with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from environment import load, published
from environment.errors import UNCHANGED, Refused
from environment.kind import Kind
from environment.rules.placement import published_ports
from environment.settings import Settings
from environment.types import EnvironmentName, Provider
from ops.state import slots
from ops.state.slots import PORTS, Reservation, Slot

MARK = "env:new"
"""Key of a stack file that `./keel env new` made: like which one, and when. Keel's own settings begin with `keel:`."""
SERVICES = ("primary", "pgbouncer", "redis")
"""What is published next to sshd, in the order of the slot's ports."""
NOT_COPIED = {
    "recovery": "an order for one environment alone",
    **dict.fromkeys(sorted(load.SECRET_KEYS), "a secret: the new one has the published roots"),
}
WIDEST = 24
"""Length of the prefix of a slot's network."""


@dataclass(frozen=True)
class Mark:
    """Like which environment one was made, and when."""

    like: str
    made: datetime


@dataclass(frozen=True)
class Made:
    """A stack file that was written. ``left_out``: what was not copied, and why."""

    path: Path
    settings: Settings
    left_out: tuple[str, ...]


def mark(stack_file: Path) -> Mark | None:
    """The mark of a stack file that :func:`new` made; None for any other. Raises InvalidStack where it cannot be read."""
    found = load.plain(load.read_stack_file(stack_file).get(MARK))
    try:
        return Mark(str(found["like"]), datetime.fromisoformat(found["made"]))
    except (TypeError, KeyError, ValueError):
        return None


def new(name: str, like: str, taken: Iterable[str]) -> Made:
    """Write the stack file of ``name`` with the settings of ``like`` and a network and ports that nothing else has.

    ``taken`` says where else there is an environment of that name. Raises Refused, InvalidStack or NoSlot before anything is
    written.
    """
    _refuse_name(name)
    config = _original(like)
    path = load.stack_file(name).resolve()
    with slots.alone():
        if found := [*([f"the stack file {path}"] if path.exists() else _elsewhere(name)), *taken]:
            advice = f"Choose another name, or remove it first: ./keel env remove {name}"
            raise Refused(f"there is an environment {name} already: {', '.join(found)}", UNCHANGED, advice)
        # Test runs begin at the other end.
        slot = slots.reserve(_apart(name), slots.NUMBERS[::-1])
        copied, left_out = _copied(moved(config, slot))
        made = load.parse(copied, f"stacks/{path.name}", load.others(name))
        now = datetime.now(UTC).replace(microsecond=0)
        slots.free(name, path)
        with slots.given(slot, Reservation(name, path, like, now)):
            _write(
                path, {MARK: {"like": like, "made": now.isoformat()}, **copied}, f"./keel env new {name} --like {like}"
            )
        ignore(path.parent)
    return Made(path, made, left_out)


def forget(environment: str, stack_file: Path) -> bool:
    """Remove the stack file if :func:`new` made it, and what is reserved for it. True if the file was removed."""
    path = stack_file.resolve()
    with slots.alone():
        made = _marked(path)
        if made:
            path.unlink()
            ignore(path.parent)
        slots.free(environment, path)
    return made


def ignore(stacks: Path) -> None:
    """Have git leave out the stack files that :func:`new` made, by a list next to them that leaves out itself too."""
    listed = sorted(path.name for path in stacks.glob("Pulumi.*.yaml") if _marked(path))
    file = stacks / ".gitignore"
    if listed:
        file.write_text("\n".join(["# Written by ./keel env new.", file.name, *listed, ""]))
    else:
        file.unlink(missing_ok=True)


def moved(config: Mapping[str, Any], slot: Slot) -> dict[str, Any]:
    """The same stack in the network and on the ports of the slot."""
    plain: dict[str, Any] = {key: load.plain(value) for key, value in config.items()}
    network = plain["keel:network"]
    old = IPv4Network(network["cidr"])
    there: dict[str, Any] = _in(plain, old, next(slot.network.subnets(new_prefix=max(old.prefixlen, WIDEST))))
    lowest = min(IPv4Address(host["address"]).packed[-1] for host in there["keel:hosts"].values())
    wanted = {name: slot.port + number for number, name in enumerate(SERVICES)}
    given = network.get("published") or {}
    there["keel:network"]["published"] = {
        **{name: port if given.get(name, port) else None for name, port in wanted.items()},
        "ssh": slot.port + len(SERVICES) + published.FIRST - lowest,
    }
    return there


def _refuse_name(name: str) -> None:
    try:
        TypeAdapter(EnvironmentName).validate_python(name)
    except ValidationError as error:
        raise Refused(f"{name!r} cannot name an environment: {error.errors()[0]['msg']}", UNCHANGED) from None


def _original(like: str) -> dict[str, Any]:
    """The configuration of the stack to be copied. Raises Refused where it is not there or cannot be copied."""
    path = load.stack_file(like)
    if not path.exists():
        known = ", ".join(sorted(path.name.split(".")[1] for path in load.STACKS.glob("Pulumi.*.yaml")))
        raise Refused(f"there is no stack file {path} to copy; there are {known}", UNCHANGED)
    config = load.read_stack_file(path)
    _refuse_original(like, load.parse(config, f"stacks/{path.name}"))
    return config


def _refuse_original(like: str, settings: Settings) -> None:
    kind, addresses = settings.environment.kind, [host.address.packed[-1] for host in settings.hosts.values()]
    needed, prefix = len(SERVICES) + max(addresses) - min(addresses) + 1, settings.network.cidr.prefixlen
    if kind.guarded:
        unguarded = " or ".join(kind.value for kind in Kind if not kind.guarded)
        raise Refused(f"{like} is of the kind {kind.value}; only one of the kind {unguarded} can be copied", UNCHANGED)
    if settings.environment.provider is not Provider.DOCKER:
        raise Refused(f"{like} consists of machines that exist; only containers can be copied", UNCHANGED)
    if prefix < WIDEST:
        raise Refused(f"the network of {like} is a /{prefix}; a copy has a /{WIDEST}", UNCHANGED)
    if needed > PORTS:
        raise Refused(
            f"a copy of {like} would publish {needed} ports in a row, for the addresses of its hosts are so far apart; it has {PORTS}",
            UNCHANGED,
        )


def _elsewhere(name: str) -> list[str]:
    """Other checkouts of this user in which there is one of that name."""
    return [
        f"the stack file {found.stack_file}"
        for _, found in slots.reservations()
        if found.environment == name and found.lasts
    ]


def _apart(name: str) -> Callable[[Slot], bool]:
    """Which slots collide with no stack file of this checkout, nor of others that have a reserved one."""
    folders = {load.STACKS.resolve(), *(found.stack_file.parent for _, found in slots.reservations())}
    others = [found for folder in folders for found in load.others(name, folder).values()]
    others = [found for found in others if found.environment.provider is Provider.DOCKER]
    networks = [found.network.cidr for found in others]
    ports = {port for found in others for _, port in published_ports(found.network, found.hosts)}
    return lambda slot: not ports & set(slot.ports) and not any(slot.network.overlaps(network) for network in networks)


def _copied(config: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What a copy has of the settings, and what it has not."""
    copied = {key: value for key, value in config.items() if key.startswith(load.NAMESPACE)}
    left_out = [
        f"{key}: {NOT_COPIED[key.removeprefix(load.NAMESPACE)]}"
        for key in [*copied]
        if key.removeprefix(load.NAMESPACE) in NOT_COPIED and copied.pop(key)
    ]
    repository = copied.get("keel:repository") or {}
    if repository.get("second"):
        copied["keel:repository"] = {key: value for key, value in repository.items() if key != "second"}
        left_out.append("keel:repository.second: its bucket belongs to the other environment")
    return copied, tuple(left_out)


def _in(value: Any, old: IPv4Network, there: IPv4Network) -> Any:
    """``value`` with every address and network of ``old`` at the same place in ``there``."""
    if isinstance(value, Mapping):
        return {key: _in(inner, old, there) for key, inner in value.items()}
    if isinstance(value, list):
        return [_in(inner, old, there) for inner in value]
    try:
        found = IPv4Network(value) if isinstance(value, str) else None
    except ValueError:
        return value
    if found is None or not found.subnet_of(old):
        return value
    address = there.network_address + (int(found.network_address) - int(old.network_address))
    return f"{address}/{found.prefixlen}" if "/" in value else str(address)


def _write(path: Path, config: Mapping[str, Any], command: str) -> None:
    head = f"# yaml-language-server: $schema=schema.json\n# Made by: {command}\n"
    text = head + yaml.safe_dump({"config": dict(config)}, default_flow_style=None, sort_keys=False, width=120)
    try:
        path.open("x", encoding="utf-8").close()
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}", UNCHANGED) from error


def _marked(path: Path) -> bool:
    try:
        return mark(path) is not None
    except load.InvalidStack:
        return False
