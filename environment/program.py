"""From a stack's name and configuration to everything derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from environment.derive import Roots, public_openssh, refused_roots, roots_for
from environment.load import NAMESPACE, SECRET_KEYS, InvalidStack, others, parse
from environment.manifest import Manifest, build
from environment.readable import Unreadable
from environment.rules import Problem
from environment.settings import Settings
from environment.types import EnvironmentName


@dataclass(frozen=True)
class Environment:
    """One environment: what its stack file says, what follows, and its secrets."""

    settings: Settings
    manifest: Manifest
    roots: Roots


def load(name: str, config: Mapping[str, Any]) -> Environment:
    """The environment ``name`` with the configuration of its stack (secrets in clear, as Pulumi hands them out).

    Raises InvalidStack or RefusedRoots before anything is changed.
    """
    source = f"stacks/Pulumi.{name}.yaml"
    try:
        TypeAdapter(EnvironmentName).validate_python(name)
    except ValidationError as error:
        raise InvalidStack(source, [Problem("", name, error.errors()[0]["msg"])]) from None
    given = {key: str(config[NAMESPACE + key]) for key in SECRET_KEYS if config.get(NAMESPACE + key)}
    try:
        settings = parse(config, source, others(name))
    except InvalidStack as refused:
        secrets = _refused_secrets(refused.sections, given)
        raise InvalidStack(source, refused.problems, refused.sections, secrets) from None
    roots = roots_for(name, settings.environment.kind, given, second=settings.repository.second is not None)
    host_keys = {host: public_openssh(roots.ssh_key(host)) for host in settings.hosts}
    return Environment(settings, build(name, settings, host_keys), roots)


def _refused_secrets(sections: Mapping[str, Any], given: dict[str, str]) -> list[str]:
    """Which secrets are refused too, as far as the sections say what is needed."""
    try:
        return refused_roots(sections["environment"].kind, given, sections["repository"].second is not None)
    except (KeyError, Unreadable):
        return []
