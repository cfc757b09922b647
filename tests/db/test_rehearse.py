"""A rehearsal of revisions on a real server: what does not go down, or leaves something, is named."""

from __future__ import annotations

import pytest

from db import migrate, rehearse
from environment.products import Product
from tests.db.fixtures import only
from tests.db.history import History

product = only("jeex_idea")
TABLE = "create table {0} (id int)"


def tried(history: History) -> rehearse.Rehearsal:
    """From where the database is."""
    return rehearse.rehearse(history.product, history.url, lambda _: None)


def down(done: rehearse.Rehearsal) -> list[str]:
    """What was found on the way down and after it: a test's revisions are in no model."""
    return [sentence for sentence in done.findings if not sentence.startswith("at head: ")]


def test_without_a_new_revision_the_newest_goes_down_and_up(product: Product, history: History) -> None:
    """PLAT-27: and the database is as this checkout wants it."""
    head = migrate.head(product)
    done = tried(history)
    assert ([step.revision for step in done.steps], done.new, done.findings) == ([head], False, [])
    assert history.at() == head


def test_from_nothing_every_revision_is_tried(product: Product, empty: str) -> None:
    """PLAT-27: a product that the base has not: up from an empty database, down to nothing, up again."""
    done = rehearse.rehearse(product, empty, lambda _: None)
    assert (done.steps[0].below, done.steps[-1].revision, done.new) == (None, migrate.head(product), True)
    assert (len(done.steps) > 3, done.findings) == (True, [])


def test_new_revisions_that_go_both_ways(history: History) -> None:
    """PLAT-27, ADA-19: up, down and up again; what is in no model and no catalogue is found at head, once."""
    start = history.at()
    names = [
        history.add(name, TABLE.format(name), downgrade=f"op.execute('drop table {name}')") for name in ("one", "two")
    ]
    done = tried(history)
    assert done.steps == [rehearse.Step("one", start), rehearse.Step("two", "one")]
    assert (done.new, down(done), history.at()) == (True, [], names[-1])
    assert len([sentence for sentence in done.findings if "extra: table one" in sentence]) == 1


def test_what_a_way_down_leaves_is_named_once(history: History) -> None:
    """PLAT-27: with the revision that leaves it, also where others go down after it."""
    history.add("one", TABLE.format("one"), downgrade="op.execute('drop table one')")
    history.add("two", "create index idx_two on projects (name)")
    found = down(tried(history))
    assert (
        len([sentence for sentence in found if sentence.startswith("two leaves after its way down: extra: index")]) == 1
    )
    assert [sentence for sentence in found if sentence.startswith("one ")] == []


@pytest.mark.parametrize(
    ("downgrade", "words"),
    [
        ("raise NotImplementedError('rows are merged')", "two says that it has no way down: rows are merged"),
        ("op.execute('drop table nowhere')", 'two does not go down: table "nowhere" does not exist'),
        ("undefined", "two does not go down: name 'undefined' is not defined"),
    ],
)
def test_one_without_a_way_down_ends_the_rehearsal(history: History, downgrade: str, words: str) -> None:
    """PLAT-27, ADA-19: whatever its code raises, it says which revision it was."""
    history.add("one", "select 1")
    history.add("two", "select 1", downgrade=downgrade)
    (found,) = down(tried(history))
    assert found.startswith(words)
    assert history.at() == "two"


def test_a_second_way_up_that_fails_is_a_finding(history: History) -> None:
    """PLAT-27: of something that is in no catalogue, and is left."""
    history.add("one", 'create collation plain from "C"')
    (found,) = down(tried(history))
    assert found.startswith("the way up again: ") and "already exists" in found


def test_a_base_with_a_revision_that_is_gone(product: Product, history: History) -> None:
    """JEEX-26: a database that has it could not be migrated."""
    name = history.add("gone", "select 1")
    migrate.upgrade(product, history.url)
    (history.versions / f"{name}.py").unlink()
    with pytest.raises(migrate.MigrationError, match="revision gone, which is not in this checkout's history"):
        tried(history)
