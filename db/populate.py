"""Rows of realistic number and shape for performance tests, made by `db/<name>/populate.py` (BAC-33, CF-26)."""

import hashlib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from random import Random
from typing import Any
from uuid import UUID

from environment.errors import KeelError
from environment.products import Product

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The newest moment in populated rows; fixed, so that the same seed gives the same rows."""


class Size(StrEnum):
    """How much. `large` is the upper estimate of the product's document."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"

    def of(self, large: int) -> int:
        """Rows of a table that has `large` at most: a hundredth, a tenth, all; at least 2, so that tenants differ."""
        return max(2, large // {Size.SMALL: 100, Size.MEDIUM: 10, Size.LARGE: 1}[self])


@dataclass(frozen=True)
class Rows:
    """The rows of one table."""

    table: str
    columns: tuple[str, ...]
    count: int
    row: Callable[[int, Random], Sequence[Any]]
    """Number of the row, from 0, and a source of chance → values in the order of `columns`, ready for COPY.

    Called once for each number, in order. JSON is given as text.
    """


class NoRows(KeelError):
    """A product without a description of its rows: its name, and where to write one."""


def rows(product: Product, size: Size) -> list[Rows]:
    """The product's tables, parents first. Raises NoRows."""
    if not (product.folder / "populate.py").exists():
        raise NoRows(f"{product.name}: db/{product.name}/populate.py does not exist, so no rows can be made")
    made: list[Rows] = importlib.import_module(f"db.{product.name}.populate").rows(size)
    return made


_STEP = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""The golden ratio's fraction of 2^128, made odd: multiples are far apart and repeat only after 2^128."""

_FREE = (1 << 128) - 1 & ~(0xF << 76 | 3 << 62)
_VERSION_4 = 4 << 76 | 2 << 62
"""The bits that say of a UUID that it is random (RFC 9562, section 5.4), and all others."""


@cache
def _first(table: str) -> int:
    return int.from_bytes(hashlib.blake2b(table.encode(), digest_size=16).digest())


def key(table: str, number: int) -> UUID:
    """The id of a table's row, version 4 in form, so that children name their parents without asking.

    Arithmetic, because it is called for every row and every parent: a digest takes twice as long.
    """
    return UUID(int=_first(table) + number * _STEP & _FREE | _VERSION_4)


def moment(chance: Random, days: int = 365) -> datetime:
    """A moment within so many days before EPOCH."""
    return EPOCH - timedelta(seconds=chance.randrange(days * 86_400))


WORDS = (  # noqa: SIM905  # as a list it would be a hundred lines
    "access account agent analysis approval asset audit backup budget change client cloud component compliance "
    "control customer data delivery deploy design document draft evidence export feature finding flow form goal "
    "incident index interface invoice issue journey kernel ledger library market method metric model network note "
    "object order owner pattern payment plan policy portal process product profile project quality query record "
    "region release report request review risk role rule scenario schema scope search security service session "
    "signal source stage standard state storage story supplier system task team template tenant test token tool "
    "track training update user value vendor version view workflow"
).split()


def text(chance: Random, words: int) -> str:
    """So many words in no order."""
    return " ".join(chance.choices(WORDS, k=words))
