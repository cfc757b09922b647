"""Read a stack's configuration into :class:`Settings`, refusing everything wrong in it at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from environment.rules import Problem, check
from environment.settings import Settings

ROOT = Path(__file__).parent.parent
PROJECT = Path(os.environ.get("KEEL_PROJECT") or ROOT)
"""Where Pulumi.yaml and the stack files are; tests put ephemeral environments elsewhere."""
STACKS = PROJECT / "stacks"
NAMESPACE = "keel:"
SECRET_KEYS = frozenset({"access", "pki", "backup"})
"""The three roots; they stay Pulumi secrets and never enter the settings."""


class InvalidStack(Exception):
    """A stack file was refused. ``problems`` holds every finding; nothing was changed."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"{source}: {len(problems)} setting(s) refused. Nothing was changed.\n{listed}\n"
            "Correct them in the stack file; docs/settings.md lists every setting."
        )


def stack_file(name: str) -> Path:
    """Path of the stack file of environment ``name``."""
    return STACKS / f"Pulumi.{name}.yaml"


def read_stack_file(path: Path) -> dict[str, Any]:
    """The configuration part of a stack file, keys with their namespace. Raises InvalidStack when unreadable."""
    try:
        document = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        known = sorted(p.name.split(".")[1] for p in STACKS.glob("Pulumi.*.yaml"))
        raise InvalidStack(str(path), [Problem("", path.name, f"an existing stack; there are {known}")]) from None
    except yaml.YAMLError as error:
        raise InvalidStack(str(path), [Problem("", path.name, f"valid YAML: {error}")]) from error
    return dict(document.get("config") or {})


def parse(config: Mapping[str, Any], source: str) -> Settings:
    """Settings from a stack's configuration.

    ``config`` maps ``keel:<section>`` to the section, as an object or as JSON text (Pulumi hands out both);
    keys of other namespaces are left alone. Raises :class:`InvalidStack` with every problem found.
    """
    sections: dict[str, Any] = {}
    problems: list[Problem] = []
    given = {key.removeprefix(NAMESPACE): value for key, value in config.items() if key.startswith(NAMESPACE)}
    fields = Settings.model_fields
    for name in given.keys() - fields.keys() - SECRET_KEYS:
        problems.append(Problem(name, "…", f"a known section: {sorted(fields)}"))
    for name, field in fields.items():
        if name not in given:
            if field.is_required():
                problems.append(Problem(name, None, "required"))
            else:
                sections[name] = field.get_default(call_default_factory=True)
            continue
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
            sections[name] = adapter.validate_python(_decoded(given[name]))
        except ValidationError as error:
            problems.extend(_problems(name, error))
    problems.extend(check(sections))
    if problems:
        raise InvalidStack(source, sorted(problems, key=lambda problem: problem.path))
    return Settings.model_construct(**sections)


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _problems(section: str, error: ValidationError) -> list[Problem]:
    found = []
    for item in error.errors():
        path = ".".join([section, *(str(part) for part in item["loc"] if part != "[key]")])
        value = item["input"] if not isinstance(item["input"], dict) else "…"
        message = "unknown setting" if item["type"] == "extra_forbidden" else item["msg"]
        found.append(Problem(path, value, message))
    return found
