"""What each role is, read from `roles/<name>/role.yaml`, and their order, from `roles/stages.yaml`.

Data, so that Pulumi's side can build the host image and watch the right settings without knowing pyinfra.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import yaml
from pydantic import Field

from environment.types import Group, Model

ROLES = Path(__file__).parent.parent / "roles"


class RoleEntry(Model):
    """The facts of one role."""

    title: str = Field(description="what it is, for people")
    groups: frozenset[Group] = Field(description="groups whose hosts carry it")
    sections: frozenset[str] = Field(
        frozenset(), description="manifest sections it reads in addition to the common ones"
    )
    reads: tuple[str, ...] = Field((), description="files outside its folder that it renders from, as patterns")
    packages: tuple[str, ...] = Field(description="Debian packages; {postgres} is replaced by the server major")

    def packages_for(self, postgres: int) -> tuple[str, ...]:
        """The packages' names with the server major filled in."""
        return tuple(package.format(postgres=postgres) for package in self.packages)


@cache
def entry(name: str) -> RoleEntry:
    """The facts of role ``name``."""
    return RoleEntry.model_validate(yaml.safe_load((ROLES / name / "role.yaml").read_text()))


@cache
def stages() -> dict[str, tuple[str, ...]]:
    """Stage → its roles, in order."""
    return {stage: tuple(names) for stage, names in yaml.safe_load((ROLES / "stages.yaml").read_text()).items()}


def sections(stage: str) -> frozenset[str]:
    """Manifest sections that the roles of ``stage`` read."""
    return frozenset().union(*(entry(role).sections for role in stages()[stage]))


def packages(postgres: int) -> tuple[str, ...]:
    """Every package of every role: what the host image brings."""
    names = [role for roles in stages().values() for role in roles]
    return tuple(sorted({package for role in names for package in entry(role).packages_for(postgres)}))


def digest(stage: str) -> dict[str, str]:
    """Role → digest of its files, of those it reads and of the kit, so that a changed role runs again."""
    return {role: _digest(entry(role).reads, ROLES / role, ROLES / "kit") for role in stages()[stage]}


def _digest(reads: tuple[str, ...], *folders: Path) -> str:
    files = sorted(path for folder in folders for path in folder.rglob("*") if _is_code(path))
    files += sorted(path for pattern in reads for path in ROLES.parent.glob(pattern))
    files += [
        ROLES / "paths.py",
        *(Path(__file__).parent / name for name in ("access.py", "derive.py", "names.py", "pki.py")),
    ]
    content = b"".join(path.name.encode() + b"\0" + path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()[:12]


def _is_code(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts and path.suffix != ".md"
