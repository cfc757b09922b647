"""Words that plain English does not need are found where people read, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.words import RULES, Finding, Words, check, prose, texts

FEW = Words.of({"nobody": "no one", "tells|told": '"shows"', ", for (?:it|they)": '", because"'})


def found(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Line and word of each finding."""
    return [(finding.line, finding.word) for finding in FEW.find("a page", iter(lines))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Nobody was there.", ["Nobody"]),
        ("It tells, and was told.", ["tells", "told"]),
        ("It stays, for it is needed.", ["for it"]),
        ("It waits for it, for a moment.", []),
        ("Toldo foretells busybodys.", []),
    ],
)
def test_a_word_counts_as_a_whole_in_any_case(text: str, words: list[str]) -> None:
    assert [word for _, word in found([(1, text)])] == words


def test_code_in_a_page_is_not_prose() -> None:
    """Fences, indented blocks, backticks and where a link leads; a paragraph or a list that is indented is prose."""
    page = (
        "Nobody\n\n```\nnobody\n```\n\n    nobody\n\n`nobody` and [nobody](nobody.md)\n\n"
        "1. A step:\n\n       nobody --here\n\n   told in the same step\n"
    )
    assert found(list(prose(page))) == [(1, "Nobody"), (9, "nobody"), (15, "told")]


def test_of_a_module_strings_and_docstrings_are_read() -> None:
    """Not its names, not its comments; within an f-string the text."""
    source = '"""First.\n\nNobody here."""\nnobody = f"{nobody} was told `nobody`"  # nobody\n'
    assert found(list(texts(source))) == [(3, "Nobody"), (4, "told")]


def rules(folder: Path, exceptions: str) -> Path:
    """A folder with a page, and rules for it."""
    (folder / "page.md").write_text("Nobody told.\n")
    path = folder / "words.yaml"
    path.write_text(
        f"words: {{nobody: no one, told: shown}}\npages: ['*.md', '**/*.md']\ncode: []\nexceptions: {exceptions}\n"
    )
    return path


def test_a_finding_says_where_and_what_to_write(tmp_path: Path) -> None:
    """Once for each place, whatever number of patterns lead to the file."""
    findings, unused = check(tmp_path, rules(tmp_path, "{}"))
    assert findings == [Finding("page.md", 1, "Nobody", "no one"), Finding("page.md", 1, "told", "shown")]
    assert str(findings[0]) == 'page.md:1: "Nobody": write no one'
    assert unused == []


@pytest.mark.parametrize(
    ("exceptions", "left", "unused"),
    [
        ("{page.md: {nobody: a reason}}", ["told"], 0),
        ("{page.md: {'*': a reason}}", [], 0),
        ("{page.md: {nobody: a reason, '*': a reason}}", [], 0),
        ("{page.md: {anew: a reason}}", ["Nobody", "told"], 1),
        ("{gone.md: {'*': a reason}}", ["Nobody", "told"], 1),
    ],
)
def test_an_exception_has_a_reason_and_a_use(tmp_path: Path, exceptions: str, left: list[str], unused: int) -> None:
    """One that nothing needs any more would hide the next word of its file."""
    findings, stale = check(tmp_path, rules(tmp_path, exceptions))
    assert [finding.word for finding in findings] == left
    assert len(stale) == unused


def test_the_rules_hold_here() -> None:
    """The pages and texts of this checkout, by the rules of this checkout."""
    assert check() == ([], [])
    assert "nobody" in RULES.read_text()
