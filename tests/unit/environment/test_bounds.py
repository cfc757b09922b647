"""Each bound of each setting holds, and is the one that the settings page shows."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, get_args, get_origin

import annotated_types as at
import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from environment import settings
from environment.settings import Postgres
from environment.types import Model


class Bound(NamedTuple):
    """What a field, or something within it, admits at most or at least: the last admitted value and the first refused."""

    where: str
    annotation: Any
    admitted: Any
    refused: Any


def _bounds(where: str, annotation: Any, metadata: Any = ()) -> Iterator[Bound]:
    """Those of ``annotation`` with ``metadata`` beside it, and of what is within it: entries, keys, alternatives."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        yield from _bounds(where, inner, (*metadata, *more))
        return
    for part in get_args(annotation):
        yield from _bounds(f"{where}[]", part)
    whole = TypeAdapter(Annotated[annotation, *metadata]) if metadata else None
    step: Any = 1 if annotation is int else 0.01
    bound: Any
    for bound in _flat(metadata):
        for kind, sign, outside in (("ge", 1, True), ("gt", 1, False), ("le", -1, True), ("lt", -1, False)):
            if isinstance(bound, getattr(at, kind.title())):
                edge: Any = getattr(bound, kind)
                inside = edge if outside else edge + sign * step
                yield Bound(where, whole, inside, inside - sign * step)


def _flat(metadata: Any) -> Iterator[Any]:
    for item in metadata:
        yield from _flat(item.metadata) if isinstance(item, FieldInfo) else (item,)


def _models() -> Iterator[type[Model]]:
    for _, found in inspect.getmembers(settings, inspect.isclass):
        if issubclass(found, Model) and found.__module__ == settings.__name__:
            yield found


BOUNDS = [
    bound
    for model in _models()
    for name, field in model.model_fields.items()
    for bound in _bounds(f"{model.__name__}.{name}", field.annotation, field.metadata)
]
"""As they are written, the wider ones of a narrowed type included: outside them nothing is admitted."""


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: f"{bound.where} {bound.refused}")
def test_nothing_beyond_a_bound_is_admitted(bound: Bound) -> None:
    """ADA-25 and each other: also where a field narrows a type that has a bound of the same kind."""
    with pytest.raises(ValidationError):
        bound.annotation.validate_python(bound.refused)


@pytest.mark.parametrize("where", sorted({bound.where for bound in BOUNDS}))
def test_what_is_within_all_bounds_is_admitted(where: str) -> None:
    """The narrowest are the ones that hold: no field has bounds that shut everything out."""
    mine = [bound for bound in BOUNDS if bound.where == where]
    low = [bound.admitted for bound in mine if bound.refused < bound.admitted]
    high = [bound.admitted for bound in mine if bound.refused > bound.admitted]
    for value in [*[max(low)] * bool(low), *[min(high)] * bool(high)]:
        assert mine[0].annotation.validate_python(value) == value


def test_every_number_has_both_bounds() -> None:
    """Or an overflow is the server's to find; numbers are listed from the model."""
    sides = {(bound.where, bound.refused < bound.admitted) for bound in BOUNDS}
    assert len(BOUNDS) > 100
    assert sorted(where for where, low in sides if (where, not low) not in sides) == []


@pytest.mark.parametrize("value", [0, 901])
def test_the_settings_own_bounds_win(value: int) -> None:
    """ADA-25, X-18: WAL is archived at least every fifteen minutes, and at all."""
    with pytest.raises(ValidationError, match="archive_timeout"):
        Postgres(archive_timeout=value)
