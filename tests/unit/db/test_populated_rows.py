"""What `./keel db populate` makes, compared with files: tests/unit/rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from db.populate import Rows, Size, rows
from environment.products import catalogue

FOLDER = Path(__file__).parent / "rows"
DIGESTED = 200
"""Rows of each table of which a digest is compared; the first is shown."""


def made(table: Rows) -> Iterator[str]:
    """The rows of a seed, one after the other."""
    chance = Random(f"1 {table.table}")
    return (repr(tuple(table.row(number, chance))) for number in range(table.count))


def shown(table: Rows) -> str:
    """How many, which columns, the first row, and what all of the first hundreds come to."""
    found = list(islice(made(table), DIGESTED))
    digest = hashlib.sha256("\n".join(found).encode()).hexdigest()
    columns = ", ".join(table.columns)
    return f"{table.table}: {table.count} rows of {columns}\n  {found[0]}\n  the first {len(found)}: {digest}\n"


@pytest.mark.parametrize("name", catalogue())
def test_the_same_seed_gives_the_same_rows_in_every_release(name: str) -> None:
    """BAC-33: figures of two releases are of the same rows. After a change that is meant, take over what is printed."""
    text = "".join(shown(table) for table in rows(catalogue()[name], Size.SMALL))
    print(text)
    assert text == (FOLDER / f"{name}.txt").read_text()
