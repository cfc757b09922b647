"""Queries on two databases in turns, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from db import compare
from db.compare import Side, Verdict
from db.load_rows import populate
from db.populate import Size
from db.queries import Query, queries
from environment.products import Product
from ops.cli.db.pull_request import FLOOR, RATIO
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("jeex_idea")


@pytest.fixture(scope="module")
def filled(product: Product, at_head: str) -> str:
    """The database with a few rows."""
    populate(product, at_head, Size.SMALL, seed=1, progress=lambda *_: None, replace=True)
    return at_head


@pytest.fixture
def sides(server: Server, product: Product, filled: str) -> Iterator[tuple[Side, Side]]:
    """The same database twice, so that nothing differs."""
    logins = (product.app_role, product.migrator_role) * 2
    connections = [server.connect(product.name, login) for login in logins]
    for application in connections[::2]:
        application.execute("set enable_seqscan = off")  # the rows are few
        application.commit()
    yield (
        Side("base", connections[0], connections[1], queries(product)),
        Side("checkout", connections[2], connections[3], queries(product)),
    )
    for connection in connections:
        connection.close()


def changed(side: Side, number: int, **fields: object) -> Side:
    """With one query that is another."""
    listed = list(side.queries)
    listed[number] = listed[number].model_copy(update=fields)
    return replace(side, queries=tuple(listed))


def compared(base: Side, own: Side) -> list[compare.Compared]:
    return compare.compare(base, own, ratio=RATIO, floor=FLOOR)


def verdicts(found: list[compare.Compared]) -> list[Verdict]:
    return [one.verdict for one in found]


def test_equal_databases_do_not_differ(sides: tuple[Side, Side]) -> None:
    """BAC-44: every query is measured on both and is as before, with its indexes."""
    found = compared(*sides)
    assert [one.query for one in found] == [query.name for query in sides[1].queries]
    assert set(verdicts(found)) == {Verdict.SAME}
    assert all(one.before_ms and one.now_ms and one.ratio and one.indexes == one.indexes_before for one in found)


def test_a_slower_query_is_seen_and_the_others_are_not(sides: tuple[Side, Side]) -> None:
    """BAC-44: one of all takes 2 ms more."""
    base, own = sides
    slow = changed(own, 1, sql=f"with waited as materialized (select pg_sleep(0.002)) {own.queries[1].sql}".replace(
        " where ", " where (select count(*) from waited) = 1 and ", 1))  # fmt: skip
    found = compared(base, slow)
    assert verdicts(found)[1] == Verdict.SLOWER and found[1].now_ms > 2
    assert set(verdicts(found)) - {Verdict.SLOWER} == {Verdict.SAME} and verdicts(found).count(Verdict.SLOWER) == 1


def test_a_lost_index_is_seen(sides: tuple[Side, Side]) -> None:
    """BAC-46, RIQ-33: the base's plans have it, the checkout's read the tables."""
    base, own = sides
    own.application.execute("set enable_seqscan = on")
    for kind in ("indexscan", "bitmapscan", "indexonlyscan"):
        own.application.execute(f"set enable_{kind} = off".encode())
    own.application.commit()
    found = compared(base, own)
    assert set(verdicts(found)) == {Verdict.LOST} and not any(one.indexes for one in found)


def test_a_query_that_the_base_has_not_is_new(sides: tuple[Side, Side]) -> None:
    """BAC-44: there is nothing to compare it with."""
    base, own = sides
    found = compared(base, changed(own, 0, name="another"))
    assert (found[0].verdict, found[0].before_ms, found[0].ratio) == (Verdict.NEW, None, None)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sql": "select nothing from projects"}, 'fails on the checkout|no plan on the checkout: column "nothing"'),
        ({"parameters": "select 1 as identity where false"}, "its parameters give no row on the checkout"),
    ],
)
def test_a_query_that_gives_nothing_to_compare(sides: tuple[Side, Side], fields: dict[str, str], words: str) -> None:
    """BAC-44: it is named, with the side."""
    base, own = sides
    with pytest.raises(compare.QueryFailed, match=words) as caught:
        compared(base, changed(own, 0, **fields))
    assert str(caught.value).startswith(own.queries[0].name)


QUERY = Query(name="q", requirement="BAC-44", sql="", parameters="", indexes=("first", "second"))


@pytest.mark.parametrize(
    ("before", "now", "rounds", "verdict"),
    [
        (["first"], ["second"], [False], Verdict.SAME),
        (["first"], ["other"], [False], Verdict.LOST),
        ([], [], [False], Verdict.SAME),
        (["first"], ["first"], [True, True, False], Verdict.SAME),
        (["first"], ["first"], [True, True], Verdict.SLOWER),
        (["first"], [], [True, True], Verdict.LOST),
    ],
)
def test_the_verdict(before: list[str], now: list[str], rounds: list[bool], verdict: Verdict) -> None:
    """BAC-44, BAC-46: slower only where every round says so; any of its indexes will do."""
    assert compare.verdict(QUERY, before, now, rounds) is verdict
    assert verdict.worse is (verdict in {Verdict.SLOWER, Verdict.LOST})


@pytest.mark.parametrize(
    ("before", "now", "seen"), [(1, 1.6, True), (1, 1.4, False), (0.1, 0.3, False), (10, 14, False)]
)
def test_slower_is_a_factor_and_milliseconds(before: float, now: float, seen: bool) -> None:
    """BAC-44: neither a third of nothing, nor a little of much."""
    assert compare.slower(before, now, ratio=RATIO, floor=FLOOR) is seen
