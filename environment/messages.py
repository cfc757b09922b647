"""The message for a refused value: its path in the stack file, the value, and what is allowed."""

from __future__ import annotations

from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from environment.rules import Problem
from environment.types import Model


def problems(section: str, annotation: Any, error: ValidationError) -> list[Problem]:
    """One problem per finding of pydantic in ``section``, whose type is ``annotation``."""
    return [
        Problem(
            ".".join([section, *(str(part) for part in item["loc"] if part != "[key]")]),
            None if item["type"] == "missing" else item["input"] if not isinstance(item["input"], dict) else "…",
            _allowed(item, annotation),
        )
        for item in error.errors()
    ]


def _allowed(item: ErrorDetails, annotation: Any) -> str:
    kind = item["type"]
    if kind == "extra_forbidden":
        return f"a known setting: {sorted(_model_at(annotation, item['loc'][:-1]).model_fields)}"
    if kind == "missing":
        name = item["loc"][-1]
        return f"required: {_model_at(annotation, item['loc'][:-1]).model_fields[str(name)].description}"
    if kind in ("model_type", "dict_type"):
        return "settings as `name: value` ({} takes the defaults)"
    return item["msg"]


def _model_at(annotation: Any, path: tuple[int | str, ...]) -> type[Model]:
    """The settings model at ``path`` below a section of type ``annotation``."""
    for part in path:
        found = _without_none(annotation)
        annotation = get_args(found)[-1] if get_origin(found) is dict else found.model_fields[str(part)].annotation
    model: type[Model] = _without_none(annotation)
    return model


def _without_none(annotation: Any) -> Any:
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return next(member for member in get_args(annotation) if member is not type(None))
    return annotation
