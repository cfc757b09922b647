"""What `./keel db populate` makes, compared with files: tests/unit/rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest

from db.populate import EPOCH, Rows, Size, moment, rows
from environment.products import Product, catalogue

FOLDER = Path(__file__).parent / "rows"


MANY = 3_000
"""Rows of the largest size of which a digest is compared: enough for what happens to one row in hundreds."""


def made(table: Rows, most: int) -> list[str]:
    """The first rows of a seed."""
    chance = Random(f"1 {table.table}")
    return [repr(tuple(table.row(number, chance))) for number in range(min(table.count, most))]


def digest(found: list[str]) -> str:
    """What so many rows come to."""
    return f"{len(found)}: {hashlib.sha256(chr(10).join(found).encode()).hexdigest()}"


def shown(product: Product) -> Iterator[str]:
    """Each table: how many rows of each size, which columns, the first row, and what all rows of the smallest size come to."""
    for small, medium, large in zip(*(rows(product, size) for size in Size), strict=True):
        found = made(small, small.count)
        yield f"{small.table}: {small.count}, {medium.count} or {large.count} rows of {', '.join(small.columns)}\n"
        yield f"  {found[0]}\n  all {digest(found)}\n  the first {digest(made(large, MANY))}\n"


@pytest.mark.parametrize("name", catalogue())
def test_the_same_seed_gives_the_same_rows_in_every_release(name: str) -> None:
    """BAC-33: figures of two releases are of the same rows. After a change that is meant, take over what is printed."""
    text = "".join(shown(catalogue()[name]))
    print(text)
    assert text == (FOLDER / f"{name}.txt").read_text()


def test_a_moment_is_within_its_days() -> None:
    """To the second."""
    nearest, farthest = (SimpleNamespace(randrange=choice) for choice in (lambda _: 0, lambda below: below - 1))
    assert moment(cast(Random, nearest), 3) == EPOCH
    assert moment(cast(Random, farthest), 3) == EPOCH - timedelta(days=3) + timedelta(seconds=1)
