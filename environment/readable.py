"""What can be read of a section that was refused: the rules still find what else is wrong in the stack file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from environment.errors import KeelError
from environment.types import Model


class Unreadable(KeelError):
    """A rule asked for something that was refused: what it would say is not known."""


class Readable:
    """A model of which some fields were refused; the others are its attributes."""

    def __init__(self, fields: Mapping[str, Any], given: Iterable[str] = ()) -> None:
        self._fields = dict(fields)
        self.model_fields_set = frozenset(given)

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("_fields", ()):
            return self._fields[name]
        raise Unreadable(f"{name} was refused")

    def model_copy(self, *, update: Mapping[str, Any]) -> Readable:
        """The same with other values."""
        return Readable({**self._fields, **update}, self.model_fields_set)

    @classmethod
    def without(cls, model: Model | Readable, name: str) -> Readable:
        """The same as ``model``, and ``name`` is not known."""
        fields = model._fields if isinstance(model, Readable) else dict(model)
        return cls({key: value for key, value in fields.items() if key != name}, model.model_fields_set)


def readable(annotation: Any, value: Any) -> Any:
    """What of ``value`` is well-formed: the whole, a :class:`Readable`, or a mapping of such. Raises Unreadable if nothing is."""
    try:
        return TypeAdapter(annotation).validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        refused = error
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, Model):
        return _model(kind, value)
    entry = get_args(kind)[1] if get_origin(kind) is dict else None
    names_are_good = not any("[key]" in item["loc"] for item in refused.errors())
    if isinstance(value, dict) and value and names_are_good and isinstance(entry, type) and issubclass(entry, Model):
        return {name: _model(entry, each) if isinstance(each, dict) else Readable({}) for name, each in value.items()}
    raise Unreadable("nothing of it can be read")


def _model(kind: type[Model], value: Mapping[str, Any]) -> Any:
    """Of a model: unknown settings are left out, and so are those whose value was refused."""
    known = {name: each for name, each in value.items() if name in kind.model_fields}
    try:
        return TypeAdapter(kind).validate_json(json.dumps(known, default=str), strict=True)
    except ValidationError:
        fields = {}
    for name, field in kind.model_fields.items():
        try:
            if name in known:
                fields[name] = readable(field.rebuild_annotation(), known[name])
            elif not field.is_required():
                fields[name] = field.get_default(call_default_factory=True)
        except Unreadable:
            continue
    return Readable(fields, known)
