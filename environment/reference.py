"""The reference of all settings, from the model: `python -m environment.reference` writes docs/settings.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from environment.derive import CREDENTIALS, PUBLISHED_ROOTS
from environment.load import NAMESPACE, ROOT, SECRET_KEYS
from environment.schema import stack_schema

PATH = ROOT / "docs" / "settings.md"

HEAD = """\
# Settings

Generated from `environment/settings.py` by `python -m environment.reference`; a test keeps it current.

A setting is in `stacks/Pulumi.<environment>.yaml` under `config`. Its first part has `keel:` before it:
`patroni.ttl` is `keel:patroni: {ttl: 20}`. Sizes are MiB, times are seconds where the name says nothing else.
A value that is not allowed is refused by `pulumi preview`, together with every other one; rules that span settings
are in `environment/rules/`.
"""


def text() -> str:
    """What docs/settings.md holds."""
    schema = stack_schema()
    parts = [HEAD]
    for key, section in schema["properties"]["config"]["properties"].items():
        name = key.removeprefix(NAMESPACE)
        if name not in SECRET_KEYS:
            parts.append(_section(name, section, schema["$defs"]))
    parts.append(_secrets())
    return "\n".join(parts)


def _section(name: str, section: dict[str, Any], models: dict[str, Any]) -> str:
    rows = "".join(
        f"| `{path}` | {allowed} | {default} | {description} |\n"
        for path, allowed, default, description in _rows(name, section, models)
    )
    about = section["description"][0].upper() + section["description"][1:]
    return f"## {name}\n\n{about}.\n\n| setting | allowed | default | what it is |\n|---|---|---|---|\n{rows}"


def _rows(path: str, schema: dict[str, Any], models: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """(path, allowed values, default, description) of each setting below ``path``."""
    if "patternProperties" in schema:
        (inner,) = schema["patternProperties"].values()
        yield from _rows(f"{path}.<name>", {"description": schema.get("description", ""), **inner}, models)
        return
    model = _model(schema, models)
    if model is None:
        description = schema.get("description", "").replace("|", "\\|")
        yield path, _allowed(schema, models), _default(schema), description
        return
    for name, field in model["properties"].items():
        yield from _rows(f"{path}.{name}", {**field, "required": name in model.get("required", ())}, models)


def _model(schema: dict[str, Any], models: dict[str, Any]) -> dict[str, Any] | None:
    """The section that ``schema`` refers to, an optional one included; None where it is a plain value."""
    for option in (schema, *schema.get("anyOf", ())):
        found: dict[str, Any] = models.get(option.get("$ref", "").rpartition("/")[2], {})
        if found.get("type") == "object":
            return found
    return None


def _allowed(schema: dict[str, Any], models: dict[str, Any]) -> str:
    if "$ref" in schema:
        schema = models[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return " or ".join(_allowed(option, models) for option in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        return f"list of {_allowed(schema['items'], models)}"
    kind: str = {"ipv4": "IPv4 address", "ipv4network": "IPv4 network"}.get(schema.get("format", ""), schema["type"])
    low = schema.get("minimum", schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else None)
    high = schema.get("maximum")
    bounds = f" {low}…{high}" if low is not None and high is not None else f" ≥ {low}" if low is not None else ""
    return kind + bounds


def _default(schema: dict[str, Any]) -> str:
    if schema.get("required"):
        return "required"
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else ""


def _secrets() -> str:
    return (
        "## Root secrets\n\nPulumi secrets of at least 32 characters, from which every password and key derives. "
        "dev and ci use published\nones where none is set; staging and production refuse those.\n\n"
        f"{_set_with(PUBLISHED_ROOTS)}\n"
        "## The second repository's keys\n\nPulumi secrets too, needed with `repository.second` and given out by its provider: "
        f"access key and secret key.\n\n{_set_with(CREDENTIALS)}"
    )


def _set_with(names: Iterable[str]) -> str:
    rows = "".join(f"| `{name}` | `pulumi config set --secret keel:{name}` |\n" for name in sorted(names))
    return f"| secret | set with |\n|---|---|\n{rows}"


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(text())
