"""The requirement map is what docs/requirements.yaml and the tests' docstrings say, and they fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools.requirements_map import PAGE, ROOT, citations, cited, page, problems, requirements


def test_the_map_is_current() -> None:
    """Regenerate it with `make reference`."""
    known, tests = requirements(), citations()
    assert problems(known, tests) == []
    assert PAGE.read_text() == page(known, tests)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("PLAT-15: all", ["PLAT-15"]),
        ("BAC-05, -06 and JEEX-02", ["BAC-05", "BAC-06", "JEEX-02"]),
        ("BAC-05 and -06, JEEX-02, BAC-05", ["BAC-05", "BAC-06", "JEEX-02"]),
        ("JEEX-07..09 hold", ["JEEX-07", "JEEX-08", "JEEX-09"]),
        ("JEEX-07 .. JEEX-09 hold", ["JEEX-07", "JEEX-08", "JEEX-09"]),
        ("CF-07 to CF-09, X-04, CF-12", ["CF-07", "CF-08", "CF-09", "CF-12"]),
        ("RIQ-04 … -06, -08 to -10: gone", ["RIQ-04", "RIQ-05", "RIQ-06", "RIQ-08", "RIQ-09", "RIQ-10"]),
        ("PLAT-15 to be", ["PLAT-15"]),
        ("PLAT-05, 10 s, and 12 hosts", ["PLAT-05"]),
        ("nothing here: X-20, UTF-8, 2026-11-22", []),
    ],
)
def test_citations_are_read(text: str, ids: list[str]) -> None:
    """Lists and ranges count as each of their ids."""
    assert cited(text) == ids


@pytest.mark.parametrize("text", ["CF-12 to CF-07", "CF-07 to CF-07", "CF-12..07", "CF-07 to RIQ-12"])
def test_a_range_that_is_none_is_an_error(text: str) -> None:
    """A slip of the pen must not cite nothing."""
    with pytest.raises(ValueError, match="a range goes up, within one prefix"):
        cited(text)


def test_docstrings_of_tests_cite(tmp_path: Path) -> None:
    """Those of helpers do not, and comments neither."""
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    (tmp_path / "tests" / "unit" / "test_a.py").write_text(
        'def test_one():\n    """PLAT-01, PLAT-02."""\n\n\n# PLAT-03\ndef helper():\n    """PLAT-04."""\n\n\n'
        'async def test_two():\n    """PLAT-02."""\n'
    )
    where = "tests/unit/test_a.py"
    assert citations(tmp_path / "tests") == {
        "PLAT-01": [f"{where}::test_one"],
        "PLAT-02": [f"{where}::test_one", f"{where}::test_two"],
    }


@pytest.mark.parametrize(
    ("entry", "by", "said"),
    [
        ("title", ["t"], []),
        ("title", [], ["PLAT-01: no test cites it, and no reason says why"]),
        ({"title": "title", "partly": "what is open"}, ["t"], []),
        ({"title": "title", "partly": "what is open"}, [], ["PLAT-01: no test cites it, and no reason says why"]),
        ({"title": "title", "partly": ""}, ["t"], ["PLAT-01: a title or a reason is missing"]),
        ({"partly": "what is open"}, ["t"], ["PLAT-01: a title or a reason is missing"]),
        ({"title": "title", "differently": "so"}, ["t"], []),
        ({"title": "title", "differently": "so"}, [], []),
        ({"title": "title", "later": "with that"}, [], []),
        ({"title": "title", "later": "with that"}, ["t"], ["PLAT-01: it is for later, and t cites it"]),
        ({"title": "title", "soon": "x"}, ["t"], ["PLAT-01: soon: one fate of partly, differently, later, or none"]),
        (
            {"title": "title", "partly": "x", "later": "y"},
            ["t"],
            ["PLAT-01: partly, later: one fate of partly, differently, later, or none"],
        ),
    ],
)
def test_what_does_not_fit_together_is_told(entry: Any, by: list[str], said: list[str]) -> None:
    """An id has one fate, and tests where it claims them."""
    assert problems({"PLAT-01": entry}, {"PLAT-01": by} if by else {}) == said


def test_an_unknown_id_is_told() -> None:
    """It was misspelt, or its requirement is gone."""
    assert problems({}, {"PLAT-99": ["t"]}) == ["PLAT-99: t cites it, and there is no such id"]


def test_the_page_gives_status_reason_and_tests() -> None:
    """Four tests at most; of more, how many."""
    known: dict[str, Any] = {
        "PLAT-01": "one",
        "PLAT-02": {"title": "two", "partly": "half of it"},
        "PLAT-03": {"title": "three", "differently": "so"},
        "PLAT-04": {"title": "four", "later": "with that"},
    }
    text = page(known, {"PLAT-01": ["a", "b", "c", "d", "e"], "PLAT-02": ["a"]})
    assert "4 requirements: 1 later, 1 met differently, 1 partly, 1 tested." in text
    assert text.endswith(
        "| PLAT-01 | one | tested | `a`<br>`b`<br>`c`<br>`d`<br>and 1 more |\n"
        "| PLAT-02 | two | partly | half of it<br>`a` |\n"
        "| PLAT-03 | three | met differently | so |\n"
        "| PLAT-04 | four | later | with that |\n"
    )


def test_decisions_are_numbered_without_gaps() -> None:
    """docs/decisions/0001-… up to the newest, each number once, and the title begins with it."""
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, path in enumerate(pages, start=1):
        assert path.name.startswith(f"{number:04d}-")
        assert path.read_text().startswith(f"# {number}. ")
