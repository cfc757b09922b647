"""In which way what is found on a host differs from what is declared, in words for the drift report."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator

from roles.kit.declare import Directory, File
from roles.kit.observe import HostState, PathState


def packages(wanted: tuple[str, ...], state: HostState) -> str:
    """Which are not there."""
    missing = sorted(package for package in wanted if package not in state.packages)
    return f"not installed: {', '.join(missing)}" if missing else ""


def path(wanted: File | Directory, state: HostState) -> str:
    """Found and declared kind, mode, owner, group and content (its SHA-256)."""
    found = state.paths.get(wanted.path)
    if found is None:
        return "is missing"
    return "; ".join(f"{what} {is_} instead of {should}" for what, is_, should in _differs(wanted, found))


def _differs(wanted: File | Directory, found: PathState) -> Iterator[tuple[str, str, str]]:
    pairs = [
        ("mode", found.mode, wanted.mode.lstrip("0")),
        ("owner", found.owner, wanted.owner),
        ("group", found.group, wanted.group),
    ]
    if isinstance(wanted, Directory):
        pairs.append(("kind", found.kind, "directory"))
    else:
        declared = hashlib.sha256(wanted.content.encode()).hexdigest()
        pairs.append(("content", found.sha256[:12] or found.kind, declared[:12]))
    return (pair for pair in pairs if pair[1] != pair[2])


def strays(folder: Directory, state: HostState, declared: Container[str]) -> tuple[str, ...]:
    """What a service reads in a directory and no role declares."""
    return tuple(path for path in state.read.get(folder.path, ()) if path not in declared)


def unit(name: str, state: HostState, *, running: bool) -> str:
    """How systemd sees it, where that is not as declared."""
    found = state.units.get(name)
    if found is None:
        return "is unknown"
    return f"is {found.active}, declared: active" if running else f"is {found.enabled or 'unknown'}, declared: enabled"


def dropins(name: str, state: HostState, declared: Container[str]) -> tuple[str, ...]:
    """What someone has added to a unit; a package's own are its unit."""
    found = state.units.get(name)
    folders = tuple(
        f"{root}/{folder}/{name}.d/"
        for root in ("/etc/systemd", "/run/systemd")
        for folder in ("system", "system.control")
    )
    return tuple(path for path in (found.dropins if found else ()) if path.startswith(folders) and path not in declared)
