"""Where this machine gets Debian from, so that containers get it from the same place."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import Refused, Unreachable
from .system import System

DEBIAN = "http://deb.debian.org/debian"
DEBIAN_SECURITY = "http://deb.debian.org/debian-security"
ROLLING = {"stable", "testing", "unstable", "sid", "oldstable"}


@dataclass(frozen=True)
class Source:
    """One line of apt's sources: address, suites, components."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]

    def is_debian(self, release: str) -> bool:
        """Whether it is Debian's own main archive for `release`; others add repositories of their own."""
        return (
            "main" in self.components
            and "debian" in self.uri.rstrip("/").split("/")
            and any(suite == release or suite in ROLLING for suite in self.suites)
        )

    @property
    def is_security(self) -> bool:
        """Whether it is a mirror of Debian's security archive."""
        return "debian-security" in self.uri.rstrip("/").split("/") and "main" in self.components


def sources(system: System) -> list[Source]:
    """All sources of this machine's apt, of both formats."""
    folder = system.path("/etc/apt/sources.list.d")
    found = list(_one_line(system.read("/etc/apt/sources.list")))
    for file in sorted(folder.glob("*.list")):
        found += _one_line(file.read_text())
    for file in sorted(folder.glob("*.sources")):
        found += _deb822(file.read_text())
    return [Source(_resolved(system, s.uri), s.suites, s.components) for s in found]


def archives(system: System) -> tuple[str, str]:
    """Addresses of the main and the security archive: this machine's, else Debian's own."""
    release = re.search(r"^VERSION_CODENAME=\"?(\w+)", system.read("/etc/os-release"), re.MULTILINE)
    own = sources(system)
    main = next((s.uri for s in own if s.is_debian(release[1] if release else "")), DEBIAN)
    security = next((s.uri for s in own if s.is_security), DEBIAN_SECURITY)
    return main.rstrip("/"), security.rstrip("/")


def release_file(system: System, archive: str, suite: str) -> str | None:
    """The suite's Release file, None where the archive does not have the suite or does not answer."""
    try:
        return system.fetch(f"{archive}/dists/{suite}/Release")
    except (Refused, Unreachable):
        return None


def expired(release: str, now: float | None = None) -> bool:
    """Whether apt refuses this Release file as too old, as that of a mirror that is a frozen snapshot."""
    from email.utils import parsedate_to_datetime  # slow to import, and not needed to find everything in place

    until = re.search(r"^Valid-Until: (.+)$", release, re.MULTILINE)
    return until is not None and parsedate_to_datetime(until[1]).timestamp() < (now or time.time())


def _one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        found = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)", line.strip())
        if found:
            yield Source(found[1], (found[2],), tuple(found[3].split()))


def _deb822(text: str) -> Iterator[Source]:
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, list[str]] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if ":" in line and not line[0].isspace():
                name, _, value = line.partition(":")
                fields[name.lower()] = value.split()
            elif name:
                fields[name.lower()] += line.split()
        if "deb" in fields.get("types", []) and fields.get("enabled", ["yes"]) != ["no"]:
            for uri in fields.get("uris", []):
                yield Source(uri, tuple(fields.get("suites", [])), tuple(fields.get("components", [])))


def _resolved(system: System, uri: str) -> str:
    """Cloud images name a file with a list of mirrors: the first of them."""
    if not uri.startswith("mirror+file:"):
        return uri
    named = system.read(uri.removeprefix("mirror+file:")).split()
    return named[0] if named else uri
