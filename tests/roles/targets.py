"""Hosts of real stacks as a role sees them: with the slice of the manifest that it declares, and watched secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from environment import program
from environment.derive import Roots
from environment.manifest import Manifest
from roles.kit.declare import File, Role, Target
from roles.order import ROLES
from tests.unit.stacks import ROOTS, config

S3_KEYS = ("the access key of the tests", "the secret key of the tests")


@dataclass(frozen=True)
class WatchedRoots(Roots):
    """Remembers every password that was derived."""

    handed_out: set[str] = field(default_factory=set)

    def password(self, name: str, generation: int = 1) -> str:
        value = super().password(name, generation)
        self.handed_out.add(value)
        return value


@cache
def manifest_of(stack: str) -> Manifest:
    """The manifest of a real stack."""
    return program.load(stack, {**config(stack), **ROOTS}).manifest


def target(role: Role, host: str, manifest: Manifest) -> Target:
    """``host`` as ``role`` sees it when only the sections of its role.yaml exist."""
    sliced = Manifest.from_slice(manifest.slice(role.entry.sections))
    access, pki, backup = (ROOTS[f"keel:{name}"] for name in ("access", "pki", "backup"))
    roots = WatchedRoots(manifest.identity.name, access, pki, backup, *S3_KEYS)
    return Target(sliced, sliced.host(host), roots)


def placements(manifest: Manifest) -> Iterator[tuple[Role, str]]:
    """Every role on every host that carries it."""
    for role in ROLES.values():
        for host in manifest.hosts:
            if role.runs_on(host):
                yield role, host.name


def everything(role: Role, at: Target) -> tuple[Any, ...]:
    """All that ``role`` declares."""
    return (
        role.packages(at), role.directories(at), role.certificates(at), role.units(at),
        [(file, file.content) for file in role.files(at)],
    )  # fmt: skip


def files(name: str, stack: str = "dev", host: str | None = None, **sections: Any) -> Mapping[str, File]:
    """Path → file of role ``name`` on its first host (or on ``host``), with ``sections`` of the manifest replaced."""
    manifest = manifest_of(stack).model_copy(update=sections)
    role = ROLES[name]
    first = host or next(entry.name for entry in manifest.hosts if role.runs_on(entry))
    return {file.path: file for file in role.files(target(role, first, manifest))}
