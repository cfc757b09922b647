"""One look at a host: everything the declarations of a stage speak of, in a single command.

A round trip per file or unit would make a run with nothing to do take a minute on four hosts; one takes
well under a second.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from pyinfra.api import FactBase


class PathState(NamedTuple):
    """What is at a path; ``sha256`` is empty for directories."""

    kind: str
    mode: str
    owner: str
    group: str
    sha256: str


class UnitState(NamedTuple):
    """How systemd sees a unit."""

    active: str
    enabled: str
    dropins: tuple[str, ...] = ()


@dataclass
class HostState:
    """What was found on a host."""

    packages: dict[str, str] = field(default_factory=dict)
    paths: dict[str, PathState] = field(default_factory=dict)
    units: dict[str, UnitState] = field(default_factory=dict)
    certificates: dict[str, str] = field(default_factory=dict)
    """Directory → certificate (PEM)."""
    keys: dict[str, str] = field(default_factory=dict)
    """Directory → public key (PEM) of the private key that is there."""
    read: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Directory → the files there that a service reads."""
    stale: set[tuple[str, str]] = field(default_factory=set)
    """(unit, "restart" or "reload"): the unit did not read what is there now."""


_MARK = "=====keel "
ASIDE = ".aside"
"""How the name of a file goes on that no service should read."""
STAMPS = "/var/lib/keel/units"
"""What each unit last read, as a digest of its trigger paths: a run that was killed between a file and the restart for it,
or a file that another stage writes, must not be forgotten."""


def stamp(unit: str, kind: str) -> str:
    """Path of the digest of what ``unit`` read at its last restart or reload."""
    return f"{STAMPS}/{unit}.{kind}"


def digest_of(paths: Iterable[str]) -> str:
    """A shell expression for the digest of files (of a key pair's directory: its certificate)."""
    listed = " ".join(shlex.quote(path) for path in paths)
    return f'for p in {listed}; do cat "$p" 2>/dev/null || cat "$p/cert.pem" 2>/dev/null; done | sha256sum'


class Present(FactBase[bool]):
    """Whether a file is there."""

    default = bool

    def command(self, path: str) -> str:
        return f"test -e {path} && echo yes || true"

    def process(self, output: Iterable[str]) -> bool:
        return "yes" in output


class ObserveHost(FactBase[HostState]):
    """Packages, paths, units and key pairs of a host."""

    def command(
        self,
        paths: Iterable[str],
        units: Iterable[str],
        certificates: Iterable[str],
        triggers: Iterable[tuple[str, str, tuple[str, ...]]] = (),
        read: Iterable[tuple[str, str]] = (),
    ) -> str:
        listed = " ".join(shlex.quote(path) for path in paths)
        parts = [
            f"echo '{_MARK}packages'; dpkg-query -W -f '${{db:Status-Status}} ${{Package}} ${{Version}}\\n'",
            f"echo '{_MARK}stat'; stat -c '%F|%a|%U|%G|%n' -- {listed} 2>/dev/null" if listed else ":",
            f"echo '{_MARK}sha256'; sha256sum -- {listed} 2>/dev/null" if listed else ":",
        ]
        if units:
            names = " ".join(shlex.quote(unit) for unit in units)
            parts.append(f"echo '{_MARK}units'; systemctl show -p Id,ActiveState,UnitFileState,DropInPaths -- {names}")
        for directory in certificates:
            quoted = shlex.quote(directory)
            parts.append(f"echo '{_MARK}cert {directory}'; cat {quoted}/cert.pem 2>/dev/null")
            parts.append(f"echo '{_MARK}key {directory}'; openssl pkey -in {quoted}/key.pem -pubout 2>/dev/null")
        for directory, pattern in read:
            named = f"-name {shlex.quote(pattern)} ! -name '*{ASIDE}'"
            find = f"find {shlex.quote(directory)} -maxdepth 1 ! -type d {named} 2>/dev/null"
            parts.append(f"echo {shlex.quote(f'{_MARK}read {directory}')}; {find}")
        for unit, kind, digested in triggers:
            known = f"$(cat {stamp(unit, kind)} 2>/dev/null)"
            parts.append(f'test "$({digest_of(digested)})" = "{known}" || echo \'{_MARK}stale {unit} {kind}\'')
        return "; ".join(parts) + "; true"

    def process(self, output: Iterable[str]) -> HostState:
        state = HostState()
        for section, lines in _sections(output):
            kind, _, argument = section.partition(" ")
            if kind == "packages":
                for line in lines:
                    status, package, version = line.split()
                    if status == "installed":
                        state.packages[package] = version
            elif kind == "stat":
                for line in lines:
                    file_kind, mode, owner, group, path = line.split("|", 4)
                    state.paths[path] = PathState(file_kind, mode, owner, group, "")
            elif kind == "sha256":
                for line in lines:
                    digest, path = line.split(maxsplit=1)
                    if path in state.paths:
                        state.paths[path] = state.paths[path]._replace(sha256=digest.lstrip("\\"))
            elif kind == "units":
                state.units.update(_units(lines))
            elif kind == "read":
                state.read[argument] = tuple(sorted(lines))
            elif kind == "stale":
                unit, _, what = argument.partition(" ")
                state.stale.add((unit, what))
            elif kind in ("cert", "key"):
                pem = "\n".join(lines) + "\n"
                if "BEGIN" in pem:
                    (state.certificates if kind == "cert" else state.keys)[argument] = pem
        return state


def _sections(output: Iterable[str]) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for line in output:
        if line.startswith(_MARK):
            found.append((line.removeprefix(_MARK), []))
        elif found:
            found[-1][1].append(line)
    return found


def _units(lines: Iterable[str]) -> dict[str, UnitState]:
    units: dict[str, UnitState] = {}
    values: dict[str, str] = {}
    for line in [*lines, ""]:
        if line:
            key, _, value = line.partition("=")
            values[key] = value
        elif values:
            dropins = tuple(values.get("DropInPaths", "").split())
            units[values["Id"]] = UnitState(values.get("ActiveState", ""), values.get("UnitFileState", ""), dropins)
            values = {}
    return units
