"""A product's queries on two databases in turns: that of this checkout and that of the revision it is compared with (BAC-44).

Both answer in the same minutes of the same machine, so what else it does meets both alike.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle, islice
from typing import Any

import psycopg

from db.queries import Query, act_for, samples, used_indexes
from environment.errors import KeelError

Connection = psycopg.Connection[Any]
Parameters = Mapping[str, Any]

EXECUTIONS = 40
"""Of a query on each side in a round."""
ROUNDS = 4
"""A query is slower when it is in every round; the first in which it is not ends the measurement."""
PLANS = 10
"""Parameters with which a plan is asked for."""


class QueryFailed(KeelError):
    """A query that gives nothing to compare: which, on which side, why."""


class Verdict(StrEnum):
    """What became of a query."""

    SAME = "as before"
    SLOWER = "slower"
    LOST = "lost its index"
    NEW = "new"

    @property
    def worse(self) -> bool:
        """Whether a change should not be merged like this."""
        return self in (Verdict.SLOWER, Verdict.LOST)


@dataclass(frozen=True)
class Side:
    """One of the databases."""

    title: str
    application: Connection
    """Past the pooler, under row-level security."""
    migrator: Connection
    """Who reads the parameters of all tenants."""
    queries: tuple[Query, ...]
    """As the files say that this database was made of."""


@dataclass(frozen=True)
class Compared:
    """One query of this checkout."""

    query: str
    verdict: Verdict
    before_ms: float | None
    """None where the base has no query of that name."""
    now_ms: float
    indexes_before: list[str]
    indexes: list[str]

    @property
    def ratio(self) -> float | None:
        """How many times as long as before."""
        return self.now_ms / self.before_ms if self.before_ms else None


def compare(base: Side, own: Side, *, ratio: float, floor: float) -> list[Compared]:
    """Every query of this checkout with that of the same name; ``ratio`` and ``floor`` as in :func:`slower`. Raises QueryFailed."""
    before = {query.name: query for query in base.queries}
    return [_compared(base, before.get(query.name), own, query, ratio, floor) for query in own.queries]


def slower(before: float, now: float, *, ratio: float, floor: float) -> bool:
    """Whether ``now`` is clearly more than ``before``: both in milliseconds, as ``floor``."""
    return now > before * ratio and now - before > floor


def verdict(query: Query, before: Sequence[str], now: Sequence[str], rounds: Sequence[bool]) -> Verdict:
    """``before`` and ``now``: the indexes of the plans; ``rounds``: whether each was slower. An index that the base's plan did not
    use either, because there are too few rows, is not lost."""
    if set(before) & set(query.indexes) and not set(now) & set(query.indexes):
        return Verdict.LOST
    return Verdict.SLOWER if all(rounds) else Verdict.SAME


def _compared(base: Side, old: Query | None, own: Side, new: Query, ratio: float, floor: float) -> Compared:
    given = _samples(own, new)
    indexes = _indexes(own, new, given)
    if old is None:
        alone = statistics.median(_took(own, new, each) for each in islice(cycle(given), EXECUTIONS))
        return Compared(new.name, Verdict.NEW, None, alone, [], indexes)
    given_before = _samples(base, old)
    indexes_before = _indexes(base, old, given_before)
    rounds: list[tuple[float, float]] = []
    while len(rounds) < ROUNDS and all(slower(*each, ratio=ratio, floor=floor) for each in rounds):
        rounds.append(_round((base, old, given_before), (own, new, given)))
    found = verdict(new, indexes_before, indexes, [slower(*each, ratio=ratio, floor=floor) for each in rounds])
    return Compared(new.name, found, *rounds[-1], indexes_before, indexes)


Asked = tuple[Side, Query, Sequence[Parameters]]


def _round(*both: Asked) -> tuple[float, float]:
    """The median milliseconds of each side, in turns. Who comes first changes: the second may find the processor warm."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(EXECUTIONS):
        for at in (0, 1) if number % 2 else (1, 0):
            side, query, given = both[at]
            taken[at].append(_took(side, query, given[number % len(given)]))
    return statistics.median(taken[0]), statistics.median(taken[1])


def _samples(side: Side, query: Query) -> list[dict[str, Any]]:
    given = samples(side.migrator, query)
    side.migrator.rollback()
    if not given:
        raise QueryFailed(
            f"{query.name}: its parameters give no row on the {side.title}",
            advice="Correct `parameters` in queries.yaml, or populate.py",
        )
    return given


def _took(side: Side, query: Query, parameters: Parameters) -> float:
    """Milliseconds of the statement to its last row."""
    try:
        act_for(side.application, parameters)
        began = time.perf_counter()
        side.application.execute(query.sql.encode(), parameters).fetchall()
        return (time.perf_counter() - began) * 1000
    except psycopg.Error as error:
        raise QueryFailed(f"{query.name}: fails on the {side.title}: {str(error).strip()}") from error
    finally:
        side.application.rollback()


def _indexes(side: Side, query: Query, given: Sequence[Parameters]) -> list[str]:
    """Those in the plans, policies included."""
    found: set[str] = set()
    for parameters in given[:PLANS]:
        try:
            found |= used_indexes(side.application, query, parameters)
        except psycopg.Error as error:
            raise QueryFailed(f"{query.name}: has no plan on the {side.title}: {str(error).strip()}") from error
        finally:
            side.application.rollback()
    return sorted(found)
