"""What a role declares about a host: packages, directories, files, certificates and units.

Declarations are pure data made from the manifest and the secrets, so they can be rendered, compared and tested
without a host, and the host image, the drift report and the verification read the same lists.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from environment.derive import Roots
from environment.manifest import HostEntry, Manifest
from environment.pki import Authority, Leaf, ca_certificate
from environment.roles import RoleEntry, entry
from environment.types import Provider
from roles import paths

Reaction = Literal["restart", "reload"]


@dataclass(frozen=True)
class Directory:
    """A directory with its owner and mode. A service reads every file in it whose name matches ``read``; those that the role does
    not declare are put aside."""

    path: str
    owner: str = "root"
    group: str = "root"
    mode: str = "755"
    read: str = ""


@dataclass(frozen=True)
class File:
    """A managed file, whole. ``check`` is a shell command with ``{}`` for the new file: what the program itself
    says about it before it replaces the old one. ``proof`` is one that must then succeed over a new connection of the
    controller's: the check put the file in force, and takes it back where that does not happen."""

    path: str
    content: str = field(repr=False)
    owner: str = "root"
    group: str = "root"
    mode: str = "644"
    check: str | None = None
    proof: str | None = None


@dataclass(frozen=True)
class Certificate:
    """A key pair under ``directory`` (key.pem made on the host, cert.pem signed by an authority)."""

    directory: str
    leaf: Leaf
    owner: str
    group: str


@dataclass(frozen=True)
class Unit:
    """A systemd unit that is enabled and running.

    A change of a path in ``restart`` restarts it, one in ``reload`` reloads it. ``ready`` is a shell command that
    succeeds once the service serves; it is awaited after every start, beyond a minute only while ``working`` succeeds
    (a restore takes as long as it takes). A ``serial`` unit is never restarted on two hosts at once; ``order`` says how they
    follow each other. ``title`` is what people call the service, where that is not the unit's name.
    """

    name: str
    restart: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()
    ready: str | None = None
    working: str = "false"
    serial: bool = False
    order: str = "one host at a time"
    title: str = ""

    def reaction(self, changed: Set[str]) -> Reaction | None:
        """What a running unit does when these paths change."""
        if changed & set(self.restart):
            return "restart"
        return "reload" if changed & set(self.reload) else None

    @property
    def triggers(self) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        """(unit, "restart" or "reload", paths) for what the unit reads."""
        both = ((self.name, "restart", self.restart), (self.name, "reload", self.reload))
        return tuple(trigger for trigger in both if trigger[2])


@dataclass(frozen=True)
class Effect:
    """What happens to a service on a host. ``order`` says how the hosts follow each other, where they do."""

    service: str
    does: Literal["starts", "stops", "reloads", "restarts"]
    order: str = ""


class Trust(StrEnum):
    """Which certificates the doors of an environment admit. One from before the doors had authorities of their own comes from
    the first to the last, host by host, and loses no connection on the way (ops/converge/trust.py)."""

    FORMER = "former"
    """Doors admit their own authority's and the common one's. Key pairs are as they were: the common authority's, for everything."""
    BOTH = "both"
    """Doors admit the same. Key pairs are their doors' own."""
    OWN = "own"
    """Doors admit their own authority's, and no other."""


@dataclass(frozen=True)
class Target:
    """One host as a role sees it: the slice of the manifest its stage declares, and the secrets."""

    manifest: Manifest
    host: HostEntry
    roots: Roots
    trust: Trust = Trust.OWN

    def serving(self, service: str, owner: str, *names: str) -> Certificate:
        """The key pair of a server that clients verify: it opens no door."""
        return self._pair(service, owner, Leaf(f"{self.host.name}.{service}", names, serves=True))

    def entering(self, service: str, door: Authority, owner: str) -> Certificate:
        """The key pair with which a service enters a door: it serves no one, and opens no other door."""
        subject = f"{self.host.name}.{service}"
        return self._pair(f"{service}-to-{door}", owner, Leaf(subject, (subject,), door, enters=True))

    def meeting(self, service: str, door: Authority, owner: str, *names: str) -> Certificate:
        """The key pair with which equals meet: each enters the other's door, which is its own."""
        return self._pair(door, owner, Leaf(f"{self.host.name}.{service}", names, door, serves=True, enters=True))

    def _pair(self, folder: str, owner: str, leaf: Leaf) -> Certificate:
        if self.trust is Trust.FORMER:
            names = leaf.names if leaf.serves else (self.host.name, str(self.host.address))
            leaf = Leaf(self.host.name, names, serves=True, enters=True)
        return Certificate(f"{paths.TLS}/{folder}", leaf, owner, owner)

    @property
    def without_people(self) -> bool:
        """Whether the host has no one but Keel. A machine belongs to its people: what they have added stays."""
        return self.manifest.identity.provider is Provider.DOCKER

    def admitted(self, door: Authority) -> File:
        """The authorities whose certificates a door admits."""
        admitted = (door,) if self.trust is Trust.OWN else (door, Authority.COMMON)
        text = "".join(ca_certificate(self.roots, authority=authority) for authority in admitted)
        return File(paths.door(door), text, check="openssl x509 -noout -in {}")


class Role:
    """A role: a folder of this package with ``role.yaml``, ``role.py``, ``templates/`` and ``README.md``.

    Sub-classes set their name and override the declarations they need; ``activate`` and ``converge_cluster`` hold what
    cannot be said as data.
    """

    name: str

    @property
    def entry(self) -> RoleEntry:
        """The facts in ``role.yaml``: groups, manifest sections, packages."""
        return entry(self.name)

    def runs_on(self, host: HostEntry) -> bool:
        """True if ``host`` carries this role."""
        return any(host.carries(group) for group in self.entry.groups)

    def packages(self, target: Target) -> tuple[str, ...]:
        """Debian packages, which the host image brings already."""
        return self.entry.packages_for(target.manifest.release.postgres)

    def directories(self, target: Target) -> tuple[Directory, ...]:
        """Directories in order of creation."""
        return ()

    def certificates(self, target: Target) -> tuple[Certificate, ...]:
        """Key pairs this role's services use."""
        return ()

    def files(self, target: Target) -> tuple[File, ...]:
        """Managed files."""
        return ()

    def units(self, target: Target) -> tuple[Unit, ...]:
        """Units in order of start."""
        return ()

    def activate(self, target: Target, changed: frozenset[str]) -> None:
        """Operations of one host that are not plain declarations. ``changed`` holds the paths written just now."""

    def goes_last(self, target: Target, unit: Unit) -> bool:
        """Whether a serial unit that is to restart here waits for its turn on the other hosts where it runs."""
        return False

    def makes_way(self, target: Target, unit: Unit) -> None:
        """Operations before a unit restarts, so that those who use it notice less."""

    def converge_cluster(self, target: Target) -> None:
        """Operations of the whole cluster, run once after every host is done, on the role's first host."""

    def effects(self, old: Target, new: Target) -> tuple[Effect, ...]:
        """What ``activate`` and ``converge_cluster`` do to a host's services when the settings change from ``old`` to ``new``."""
        return ()

    def render(self, template: str, target: Target, **values: Any) -> str:
        """Text of ``templates/<template>`` of this role's folder; an undefined name is an error."""
        return (
            _templates(self.name)
            .get_template(template)
            .render(manifest=target.manifest, host=target.host, ports=target.manifest.ports, paths=paths, **values)
        )


@cache
def _templates(role: str) -> Environment:
    """Compiled once per process: compiling takes longer than everything else a role declares."""
    folder = Path(__file__).parent.parent / role / "templates"
    return Environment(  # noqa: S701 - configuration files, not HTML
        loader=FileSystemLoader(folder), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )
