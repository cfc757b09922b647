"""JSON into frozen dataclasses: names and types are checked once, where the text is read."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


class Mistyped(ValueError):
    """Where in the text something is missing or of another type, and what it should be."""


def build(kind: type[T], data: Any, where: str = "") -> T:
    """An instance of the dataclass ``kind`` from decoded JSON. Raises Mistyped.

    A field is called in the JSON as in the class, or as its metadata says under `key`. Keys that the class does not know
    are left out: the writer may be newer.
    """
    return cast(T, _value(kind, data, where or kind.__name__))


def document_of(value: Any) -> Any:
    """What `build` makes an instance from, without what the class does not know."""
    if is_dataclass(value):
        return {key: document_of(getattr(value, name)) for name, key, _, _ in _members(cast(Any, type(value)))}
    if isinstance(value, dict):
        return {key: document_of(each) for key, each in value.items()}
    return [document_of(each) for each in value] if isinstance(value, list | tuple) else value


def _value(kind: Any, data: Any, where: str) -> Any:
    if kind is Any:
        return data
    if is_dataclass(kind):
        return _instance(kind, data, where)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return None if data is None and NoneType in inner else _value(inner[0], data, where)
    if origin is dict:
        return {str(key): _value(inner[1], value, f"{where}.{key}") for key, value in _of(dict, data, where).items()}
    if origin in (list, tuple):
        return origin(_value(inner[0], value, f"{where}[{at}]") for at, value in enumerate(_of(list, data, where)))
    return Path(_of(str, data, where)) if kind is Path else _of(kind, data, where)


def _instance(kind: Any, data: Any, where: str) -> Any:
    found = {}
    for name, key, wanted, required in _members(kind):
        if key in _of(dict, data, where):
            found[name] = _value(wanted, data[key], f"{where}.{key}")
        elif required:
            raise Mistyped(f"{where} has no {key}")
    return kind(**found)


@cache
def _members(kind: Any) -> tuple[tuple[str, str, Any, bool], ...]:
    """Field, its key, its type, and whether it must be there."""
    hints = get_type_hints(kind)
    return tuple(
        (
            field.name,
            field.metadata.get("key", field.name),
            hints[field.name],
            field.default is MISSING and field.default_factory is MISSING,
        )
        for field in fields(kind)
    )


def _of(kind: Any, data: Any, where: str) -> Any:
    """The data, where it is of that type; a whole number is a float, too."""
    if isinstance(data, kind) and not (isinstance(data, bool) and kind is not bool):
        return data
    if kind is float and type(data) is int:
        return float(data)
    raise Mistyped(f"{where} is {data!r}, not of type {kind.__name__}")
