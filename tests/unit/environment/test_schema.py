"""What is generated from the model is current, and the model says enough to generate it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from pydantic import BaseModel

from environment import products, reference, roles, schema, settings
from environment.load import SECRET_KEYS, STACKS

SECTIONS = [
    model
    for module in (settings, roles, products)
    for _, model in inspect.getmembers(module, inspect.isclass)
    if issubclass(model, BaseModel) and model.__module__ == module.__name__
]


def test_the_schema_for_editors_is_current() -> None:
    assert schema.PATH.read_text() == schema.text(), "run: python -m environment.schema"


def test_the_settings_reference_is_current() -> None:
    assert reference.PATH.read_text() == reference.text(), "run: python -m environment.reference"


def test_the_reference_says_what_every_setting_is() -> None:
    """Those by name too, such as `postgres.apply_delay.<name>`, whose description is the mapping's."""
    rows = [
        line.split(" | ")
        for line in reference.text().split("## Root secrets")[0].splitlines()
        if line.startswith("| `")
    ]
    assert len(rows) > 80
    assert [row[0] for row in rows if not row[-1].strip(" |")] == []


@pytest.mark.parametrize("model", SECTIONS, ids=lambda model: model.__name__)
def test_every_setting_is_described(model: type[BaseModel]) -> None:
    described = model.model_json_schema()["properties"]
    assert [name for name in model.model_fields if not described[name].get("description")] == []
    assert model.__doc__


@pytest.mark.parametrize("path", sorted(STACKS.glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_every_stack_file_names_the_schema(path: Path) -> None:
    """Editors that speak YAML look at the first line."""
    assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")


def test_the_schema_knows_every_section_and_the_roots() -> None:
    config = schema.stack_schema()["properties"]["config"]
    assert set(config["properties"]) == {f"keel:{name}" for name in (*settings.Settings.model_fields, *SECRET_KEYS)}
    assert config["required"] == ["keel:environment", "keel:network", "keel:hosts", "keel:products"]


def test_the_schema_admits_no_unknown_setting() -> None:
    """What the model refuses an editor marks already."""
    closed = [schema.stack_schema()["properties"]["config"], *schema.stack_schema()["$defs"].values()]
    closed += [
        section
        for section in schema.stack_schema()["properties"]["config"]["properties"].values()
        if "patternProperties" in section
    ]
    objects = [part for part in closed if part.get("type") == "object"]
    assert len(objects) > 15
    assert [part.get("title") for part in objects if part.get("additionalProperties") is not False] == []
