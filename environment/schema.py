"""The JSON schema of a whole stack file, for editors: `python -m environment.schema` writes stacks/schema.json."""

from __future__ import annotations

import json
from typing import Any

from environment.load import NAMESPACE, ROOT, SECRET_KEYS
from environment.settings import Settings

PATH = ROOT / "stacks" / "schema.json"
"""Named by the first line of each stack file, which editors read."""

PULUMI_KEYS = ("encryptionsalt", "encryptedkey", "secretsprovider")
"""What Pulumi itself writes next to ``config``."""


def stack_schema() -> dict[str, Any]:
    """Schema of a stack file: the settings' sections under their keys, the rest as Pulumi secrets."""
    settings = Settings.model_json_schema()
    for mapping in settings["properties"].values():
        if "patternProperties" in mapping:
            mapping["additionalProperties"] = False
    sections = {NAMESPACE + name: section for name, section in settings["properties"].items()}
    secrets = {NAMESPACE + name: {"$ref": "#/$defs/Secret"} for name in sorted(SECRET_KEYS)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A stack file of Keel",
        "type": "object",
        "required": ["config"],
        "additionalProperties": False,
        "properties": {
            "config": {
                "type": "object",
                "required": [NAMESPACE + name for name in settings["required"]],
                "properties": sections | secrets,
                # Keys of other namespaces belong to Pulumi's own providers.
                "patternProperties": {f"^(?!{NAMESPACE})[^:]+:": {}},
                "additionalProperties": False,
            },
            **{key: {"type": "string", "description": "written by Pulumi"} for key in PULUMI_KEYS},
        },
        "$defs": settings["$defs"] | {"Secret": _secret()},
    }


def text() -> str:
    """What stacks/schema.json holds."""
    return json.dumps(stack_schema(), indent=2, ensure_ascii=False) + "\n"


def _secret() -> dict[str, Any]:
    return {
        "description": "a secret: pulumi config set --secret",
        "type": "object",
        "properties": {"secure": {"type": "string"}},
        "required": ["secure"],
        "additionalProperties": False,
    }


if __name__ == "__main__":
    PATH.write_text(text())
