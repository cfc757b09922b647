"""Every setting of every section reaches a host, or is named here as one that does not."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from components.host import HostArgs, _hardware, _specification
from environment import image, roles
from environment.derive import Roots
from environment.settings import Settings
from environment.types import Provider
from tests.roles.every_setting import FOUND, OTHER, PATHS, STACKS, changed, manifest, settings_of
from tests.roles.targets import everything, placements, target
from tests.unit.stacks import ROOTS

ELSEWHERE = {
    "databases.backup_before_migration": "the controller orders the backup",
    "databases.undeclared": "the controller decides in the databases",
    "hosts.*.ssh.host_key": "the controller pins it",
    "hosts.*.ssh.hostname": "the controller connects to it",
    "postgres.direct_reserve": "kept free by the model's own arithmetic (PLAT-20)",
    "postgres.replicas": "the number of hosts says it; a role sees the members",
    "products.*.temp_files": "the controller sets it for the product's logins",
    "products.*.settings": "the controller sets them for the product's database",
    "products.*.revision": "the controller migrates to it",
    "recovery.to": "the step `recovery` hands it over when every database is lost",
    "recovery.token": "the step `recovery` hands it over when every database is lost",
}
"""Settings that no file and no container on a host differs by, and what reads them instead."""


@cache
def _roots(stack: str) -> Roots:
    return Roots(stack, *(ROOTS[f"keel:{name}"] for name in ("access", "pki", "backup")))


def on_hosts(stack: str, settings: Settings) -> list[Any]:
    """What the roles declare on the hosts, and what the containers that are hosts are made of."""
    built = manifest(stack, settings)
    found: list[Any] = [
        (role.name, host, everything(role, target(role, host, built))) for role, host in placements(built)
    ]
    if settings.environment.provider is Provider.DOCKER:
        for entry in built.hosts:
            args = HostArgs(built, entry, _roots(stack), "image", "network")
            found += [_specification(args), _hardware(args)]
        found.append(image.recipe(built.release, roles.packages(built.release.postgres)))
    return found


@cache
def _before(stack: str) -> list[Any]:
    return on_hosts(stack, settings_of(stack))


@pytest.mark.parametrize("path", PATHS)
def test_every_setting_reaches_a_host_or_is_named(path: str) -> None:
    """A setting that changes nothing would be a promise not kept; one that is named must not reach a host after all."""
    reached = False
    for stack in STACKS:
        if not reached and (stack, path) in FOUND:
            reached = on_hosts(stack, changed(stack, path)) != _before(stack)
    assert reached is (path not in ELSEWHERE), ELSEWHERE.get(path, "changes nothing on any host")


def test_what_is_named_is_there() -> None:
    """A setting that was renamed or removed leaves no line here."""
    assert ELSEWHERE.keys() | OTHER.keys() <= set(PATHS)
