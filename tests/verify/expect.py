"""How a check says what it found: one sentence per finding, all of them at once, without a traceback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest

Network = IPv4Network | IPv6Network


def nothing(problems: Iterable[str]) -> None:
    """Fail with every problem, if there is one."""
    found = list(problems)
    if found:
        pytest.fail("; ".join(found), pytrace=False)


def same(found: Mapping[str, object], wanted: Mapping[str, object], where: str = "") -> None:
    """Fail unless ``found`` holds everything in ``wanted``; what it holds beyond that does not matter."""
    prefix = f"{where}: " if where else ""
    nothing(
        f"{prefix}{name} is {found.get(name)!r}, not {value!r}"
        for name, value in wanted.items()
        if found.get(name) != value
    )


def exactly(found: Iterable[str], wanted: Iterable[str], what: str) -> None:
    """Fail unless both hold the same names."""
    has, needs = set(found), set(wanted)
    nothing(
        [f"{what} missing: {name}" for name in sorted(needs - has)]
        + [f"{what} undeclared: {name}" for name in sorted(has - needs)]
    )


def within(addresses: Iterable[str], networks: Iterable[object], where: str) -> None:
    """Fail unless each address, `10.0.0.1/32` or `10.0.0.1/255.255.255.255`, is one of the networks or is inside one."""
    listed = [ip_network(str(network)) for network in networks]
    nothing(
        f"{where}: {address} is admitted, which is not listed" for address in addresses if not _inside(address, listed)
    )


def _inside(address: str, listed: Iterable[Network]) -> bool:
    try:
        found = ip_network(address, strict=False)
    except ValueError:  # a word: all, samenet, samehost, or a name
        return False
    return any(found.version == each.version and found.subnet_of(each) for each in listed)  # type: ignore[arg-type]
