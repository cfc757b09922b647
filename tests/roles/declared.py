"""All that the roles declare in four environments, as text: `python -m tests.roles.declared` writes tests/roles/golden.

Secrets are written by their names. What several hosts have alike is written once; what differs, as the lines that differ. Of
Keel's own programs only the lines are written that an environment decides: the others are in their templates.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from environment.derive import Roots, public_openssh
from environment.manifest import Manifest
from environment.names import MONITOR
from environment.pki import Authority, Leaf, ca_certificate
from environment.settings import Recovery, Repository, Schedule, SecondRepository
from environment.urls import redis_login
from keel_host.config import BackupHost
from roles import paths
from roles.kit.declare import File, Role, Target
from roles.order import ROLES
from roles.redis.role import ACCOUNTS
from tests.roles.targets import manifest_of, target

COPIED = (f"{paths.LIBRARY}/keel_host/", f"{paths.LIBRARY}/schema/")
"""Folders whose files are copies."""
MARKS = ("---", "+++", "@@")
"""Of a comparison, not of what is compared."""
GOLDEN = Path(__file__).with_name("golden")
STORE = ca_certificate(Roots("elsewhere", *("a root of the tests, long enough",) * 3))
"""Who signed the certificate of a private store."""


class NamedRoots(Roots):
    """Secrets that are their own names."""

    def password(self, name: str, generation: int = 1) -> str:
        return f"<password {name}>"

    def token(self, name: str, generation: int = 1) -> str:
        return f"<token {name}>"

    def cipher(self, generation: int, name: str = "repository") -> str:
        return f"<cipher {name}, generation {generation}>"


def environments() -> dict[str, Manifest]:
    """Name → manifest: three stacks as they are, and production with everything that a stack may add."""
    production = manifest_of("production")
    second = SecondRepository(endpoint="s3.example.com", bucket="backups", retention_days=90, ca=STORE)
    everything = production.model_copy(
        update={
            "postgres": production.postgres.model_copy(update={"apply_delay": {"db3": 60}}),
            "repository": Repository(generation=2, retention_days=14, archive_full="drop", second=second),
            "schedule": Schedule(differential="0 3 * * 1", incremental="off", drill="off"),
            "recovery": Recovery(token="again"),
        }
    )
    return {**{name: manifest_of(name) for name in ("dev", "ci", "production")}, "everything": everything}


def text(manifest: Manifest) -> str:
    """What every role declares on every host of an environment."""
    return "".join(f"{line}\n" for role in ROLES.values() for line in _of_role(role, manifest))


def _of_role(role: Role, manifest: Manifest) -> Iterator[str]:
    hosts = [host.name for host in manifest.hosts if role.runs_on(host)]
    found = {host: _declared(role, named(role, host, manifest)) for host in hosts}
    yield f"######## {role.name}: {', '.join(hosts)}"
    for title in dict.fromkeys(title for declared in found.values() for title in declared):
        alike: dict[tuple[str, ...], list[str]] = {}
        for host in hosts:
            if title in found[host]:
                alike.setdefault(found[host][title], []).append(host)
        (first, holders), *others = alike.items()
        yield ""
        yield _titled(title, holders, hosts)
        yield from first
        for lines, differing in others:
            changes = [
                line for line in difflib.unified_diff(first, lines, n=0, lineterm="") if not line.startswith(MARKS)
            ]
            yield _titled("differs" if len(changes) < len(lines) else title, differing, hosts)
            yield from changes if len(changes) < len(lines) else lines
    yield ""


def _titled(title: str, holders: list[str], hosts: list[str]) -> str:
    return f"==== {title}" if holders == hosts else f"==== {title} [{', '.join(holders)}]"


def named(role: Role, host: str, manifest: Manifest) -> Target:
    """``host`` as ``role`` sees it, its secrets by their names."""
    at = target(role, host, manifest)
    roots = NamedRoots(
        manifest.identity.name, at.roots.access, at.roots.pki, at.roots.backup, "<s3 key>", "<s3 secret>"
    )
    return replace(at, roots=roots)


def _declared(role: Role, at: Target) -> dict[str, tuple[str, ...]]:
    """Title → lines, in the order of the declarations."""
    found: dict[str, tuple[str, ...]] = {"packages": (" ".join(role.packages(at)),)}
    for folder in role.directories(at):
        found[f"directory {folder.path}"] = (f"{folder.owner}:{folder.group} {folder.mode}",)
    for pair in role.certificates(at):
        found[f"certificate {pair.directory}"] = (f"{pair.owner}:{pair.group}", *_said(pair.leaf))
    for file in role.files(at):
        check = [f"checked by: {file.check}"] if file.check else []
        found[f"file {file.path}"] = (f"{file.owner}:{file.group} {file.mode}", *check, "", *_content(file, at))
    for unit in role.units(at):
        found[f"unit {unit.name}"] = (
            *(f"{kind}: {' '.join(read)}" for _, kind, read in unit.triggers),
            f"serial: {unit.serial}", f"ready: {unit.ready}", f"working: {unit.working}",
        )  # fmt: skip
    return found


def _said(leaf: Leaf) -> tuple[str, ...]:
    does = " ".join(what for what, wanted in (("serves", leaf.serves), ("enters", leaf.enters)) if wanted)
    return (f"{leaf.subject}: {does}, signed by {leaf.authority.name.lower()}", *leaf.names)


def _content(file: File, at: Target) -> list[str]:
    names = {
        **{
            ca_certificate(at.roots, authority=each): f"<the certificate of the authority {each.name.lower()}>\n"
            for each in Authority
        },
        STORE: "<the authority of the second repository's store>\n",
        public_openssh(at.roots.ssh_key("controller")): "<the controller's public key>",
    }
    if file.path == ACCOUNTS:
        accounts = {name: at.roots.password(redis_login(name)) for name in (MONITOR, *at.manifest.products)}
        names |= {hashlib.sha256(given.encode()).hexdigest(): f"<digest of {given}>" for given in accounts.values()}
    if file.path.startswith(COPIED):
        return ["<as in the checkout>"]
    content = file.content
    if file.path == str(BackupHost.FILE):
        # What a drill expects of the products changes with every revision and has a test of its own.
        settings = json.loads(content)
        content = json.dumps(settings | {"products": list(settings["products"])}, indent=2)
    for secret, name in names.items():
        content = content.replace(secret, name)
    return content.splitlines()


if __name__ == "__main__":
    for name, manifest in environments().items():
        (GOLDEN / f"{name}.txt").write_text(text(manifest))
