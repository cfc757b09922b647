"""Read a stack's configuration into :class:`Settings`, refusing everything wrong in it at once."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from environment import messages
from environment.derive import SECRETS
from environment.errors import UNCHANGED, KeelError
from environment.kind import PROJECT as PROJECT
from environment.kind import ROOT as ROOT
from environment.kind import STACKS as STACKS
from environment.readable import Readable, Unreadable, readable
from environment.rules import Problem, check
from environment.rules.base import carrying, readable_part
from environment.rules.other_stacks import clashes
from environment.settings import MOST_REPLICAS, Host, Postgres, Settings
from environment.types import Group

NAMESPACE = "keel:"
SECRET_KEYS = frozenset(SECRETS)
"""The three roots and the second repository's keys; they stay Pulumi secrets and never enter the settings."""


class InvalidStack(KeelError):
    """A stack file was refused. ``problems`` holds every finding; nothing was changed.

    ``sections`` are those that could be read, at least in part; ``secrets`` says which of its secrets are refused too.
    """

    def __init__(
        self,
        source: str,
        problems: list[Problem],
        sections: Mapping[str, Any] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self.source = source
        self.problems = problems
        self.sections = sections or {}
        listed = "\n".join(f"  {problem}" for problem in (*problems, *secrets))
        super().__init__(
            f"{source}: {len(problems) + len(secrets)} setting(s) refused\n{listed}",
            UNCHANGED,
            "Correct them in the stack file; docs/settings.md lists every setting",
        )


def stack_file(name: str) -> Path:
    """Path of the stack file of environment ``name``."""
    return STACKS / f"Pulumi.{name}.yaml"


def read_stack_file(path: Path) -> dict[str, Any]:
    """The configuration part of a stack file, keys with their namespace. Raises InvalidStack when unreadable."""

    def refused(allowed: str, found: object = path.name) -> InvalidStack:
        return InvalidStack(str(path), [Problem("", found, allowed)])

    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _AsPulumi)  # noqa: S506 - derived from the safe loader
    except FileNotFoundError:
        known = sorted(p.name.split(".")[1] for p in STACKS.glob("Pulumi.*.yaml"))
        raise refused(f"an existing stack; there are {known}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise refused(f"valid YAML in UTF-8: {error}") from error
    if document is not None and not isinstance(document, dict):
        raise refused("a mapping with the key config", document)
    config = (document or {}).get("config") or {}
    if not isinstance(config, dict):
        raise refused("a mapping keel:<section> under the key config", config)
    return config


class _AsPulumi(yaml.SafeLoader):
    """Reads plain words as Pulumi does: `no` and `on` are words, `1:30` too, `0o14` and `1e3` are numbers. A key that
    appears twice is an error. The second one does not win."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - none of the library's own

    def construct_whole(self, node: yaml.ScalarNode) -> int | float:
        """A number with a point or an exponent; Pulumi hands 1.0 out as 1."""
        number: float = self.construct_yaml_float(node)
        return int(number) if number.is_integer() else number

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key, count in Counter(map(str, keys)).items():
            if count > 1:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} appears twice", problem_mark=node.start_mark)
        made = super().construct_mapping(node, deep)
        return {key if isinstance(key, str) else _NAMES.get(str(key), str(key)): value for key, value in made.items()}


_NAMES = {"True": "true", "False": "false", "None": "<nil>"}
"""How Pulumi calls a key that is no word."""


_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
for _tag, _words, _first in (
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", "[-+]?(0b[01_]+|0o[0-7_]+|0[0-7_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*)", "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("merge", "<<", "<"),
):
    _AsPulumi.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^({_words})$"), list(_first))
_AsPulumi.add_constructor("tag:yaml.org,2002:float", _AsPulumi.construct_whole)


def parse(config: Mapping[str, Any], source: str, others: Mapping[str, Settings] | None = None) -> Settings:
    """Settings from a stack's configuration.

    ``config`` maps ``keel:<section>`` to the section, as an object or as JSON text (Pulumi hands out both);
    keys of other namespaces are left alone. ``others`` are the environments that it must not collide with.
    Raises :class:`InvalidStack` with every problem found.
    """
    sections: dict[str, Any] = {}
    fields = Settings.model_fields
    problems = [
        Problem("", key, f"a key {NAMESPACE}<section>, one of {sorted(fields)}")
        for key in config
        if ":" not in str(key)
    ]
    given = {key.removeprefix(NAMESPACE): value for key, value in config.items() if str(key).startswith(NAMESPACE)}
    for name in given.keys() - fields.keys() - SECRET_KEYS:
        hint = f"; one setting is set with: pulumi config set --path {NAMESPACE}{name}" if "." in name else ""
        problems.append(Problem(name, "…", f"a known section: {sorted(fields)}{hint}"))
    for name, field in fields.items():
        if name not in given:
            if field.is_required():
                problems.append(Problem(name, None, f"required: {field.description}"))
            else:
                sections[name] = field.get_default(call_default_factory=True)
            continue
        try:
            sections[name] = _section(name, given[name])
        except ValidationError as error:
            problems.extend(messages.problems(name, field.annotation, error))
            with suppress(Unreadable):
                sections[name] = readable(field.rebuild_annotation(), plain(given[name]))
        except (ValueError, RecursionError) as error:
            problems.append(Problem(name, "…", f"plain values: {error}"))
    if {"hosts", "postgres"} <= sections.keys():
        sections["postgres"] = _with_replicas(sections["postgres"], sections["hosts"])
    problems.extend(check(sections))
    problems.extend(readable_part(clashes(sections, others or {})))
    if problems:
        raise InvalidStack(source, sorted(problems, key=lambda problem: problem.path), sections)
    return Settings.model_construct(**sections)


def _with_replicas(postgres: Postgres | Readable, hosts: Mapping[str, Host]) -> Postgres | Readable:
    """Where the stack file does not say how many, each further database host is a replica: one line makes one (ADA-28)."""
    if "replicas" in postgres.model_fields_set:
        return postgres
    try:
        further = max(len(carrying(hosts, Group.POSTGRES)) - 1, 0)
    except Unreadable:
        return Readable.without(postgres, "replicas")
    return postgres.model_copy(update={"replicas": min(further, MOST_REPLICAS)})


def others(name: str, stacks: Path | None = None) -> dict[str, Settings]:
    """The environments but ``name`` whose files are in the folder ``stacks``, by default the project's; one that is refused itself
    is left out, because its own preview reports it."""
    found = {}
    for path in sorted((stacks or STACKS).glob("Pulumi.*.yaml")):
        other = path.name.split(".")[1]
        if other != name:
            with suppress(InvalidStack):
                found[other] = parse(read_stack_file(path), str(path))
    return found


def _section(name: str, value: Any) -> Any:
    """Through JSON and strictly: text is no number, 1 is not true, and what Pulumi cannot hold is refused."""
    return _reader(name).validate_json(json.dumps(plain(value), default=str), strict=True)


def plain(value: Any) -> Any:
    """A section as plain values, also where it came as JSON text."""
    return json.loads(value) if isinstance(value, str) and _is_json(value) else value


@cache
def _reader(section: str) -> TypeAdapter[Any]:
    return TypeAdapter(Settings.model_fields[section].rebuild_annotation())


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True
