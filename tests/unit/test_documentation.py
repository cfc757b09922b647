"""What a requirement wants written down is where a reader looks for it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer

from environment.load import ROOT
from environment.products import catalogue
from ops.cli.app import app
from tools.requirements_map import PAGE, citations, cited, requirements

DATABASES = "docs/database_documentation.md"
WRITTEN = [
    ("ADA-16", "db/ai_assistant/README.md", ["Partitioning", "10 million rows", "one million records"]),
    ("JEEX-14", "db/jeex_idea/README.md", ["Partitioning", "`agent_executions` by month", "50 million", "20 million"]),
    ("ADA-20", DATABASES, ["stays for two versions (ADA-20)"]),
    ("CF-40", DATABASES, ["TooManyConnectionsError", "slow queries", "connection timeouts", "(X-08)", "pool_pre_ping"]),
    ("JEEX-48", DATABASES, ["**A new revision.**", "**When one fails**", "**Override.**", "**By hand.**"]),
    ("ADA-51", DATABASES, ["## Who is informed"]),
    ("ADA-51", "docs/runbooks/README.md", ["restore.md", "rebuild.md"]),
    (
        "PLAT-51",
        "README.md",
        ["## Two commands", "| `staging`, `production` |", "| 5220 |", "docs/settings.md", "docs/runbooks"],
    ),
]
"""Requirement → page, and what it has to say. Words, not sentences: a page may be written better."""


@pytest.mark.parametrize(("requirement", "page", "words"), WRITTEN)
def test_it_is_written_down(requirement: str, page: str, words: list[str]) -> None:
    """ADA-16, ADA-20, ADA-51, CF-40, JEEX-14, JEEX-48, PLAT-51."""
    text = (ROOT / page).read_text()
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("product", catalogue())
def test_every_table_and_revision_is_described(product: str) -> None:
    """BAC-52, ADA-51: each product's page names every table and the first and last revision; the overview links to it."""
    page = (ROOT / "db" / product / "README.md").read_text()
    assert [table for table in catalogue()[product].tables if f"`{table}`" not in page] == []
    revisions = sorted(path.stem for path in (ROOT / "migrations" / product / "versions").glob("*.py"))
    assert [name for name in (revisions[0], revisions[-1]) if f"`{name}`" not in page] == []
    assert f"../db/{product}/README.md" in (ROOT / DATABASES).read_text()


PAGES = [
    *(path for path in ROOT.glob("*.md")),
    *(path for folder in ("docs", "db", "roles", "tools") for path in (ROOT / folder).rglob("*.md")),
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """BAC-52, PLAT-51: no page points at a file that is gone."""
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in linked if not (path.parent / link).exists()] == []


def test_the_matrix_is_whole_and_tested() -> None:
    """JEEX-45: DB-001 to DB-016, tasks 1.1 to 3.6; each line names requirements, and every one but the later ones has a test."""
    lines = (ROOT / "db" / "jeex_idea" / "README.md").read_text().split("## Traceability")[1].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "DB-0" in line]
    assert [name for row in rows for name in re.findall(r"DB-\d+", row[1])] == [f"DB-{n:03d}" for n in range(1, 17)]
    tasks = [task for row in rows for task in row[2].split(", ")]
    assert tasks == [f"{phase}.{task}" for phase, last in ((1, 4), (2, 6), (3, 6)) for task in range(1, last + 1)]
    tests, known = citations(), requirements()
    for component, _, _, here in rows:
        named, _, later = here.partition(";")
        assert cited(named), component
        assert [requirement for requirement in cited(named) if not tests.get(requirement)] == []
        assert [requirement for requirement in cited(later) if isinstance(known[requirement], str)] == []


def contradictions() -> dict[str, list[str]]:
    """Id → the other cells of its row; an id that has two rows, or a row without four cells, is an error."""
    page = (ROOT / "docs" / "contradictions.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| X-")
    ]
    assert len({row[0] for row in rows}) == len(rows)
    assert [row for row in rows if len(row) != 4 or not all(row)] == []
    return {row[0]: row[1:] for row in rows}


def test_every_contradiction_is_resolved_on_a_page() -> None:
    """PLAT-51, CF-40: X-01 to X-52, each with what the documents say, what Keel does, and where; readers are led there."""
    assert sorted(contradictions()) == [f"X-{number:02d}" for number in range(1, 53)]
    for page in ("README.md", DATABASES):
        assert "contradictions.md" in (ROOT / page).read_text(), page


@pytest.mark.parametrize("name", sorted(contradictions()))
def test_what_resolves_a_contradiction_is_there(name: str) -> None:
    """PLAT-51: the files that the page names."""
    *_, where = contradictions()[name]
    files = re.findall(r"`([\w./-]+/[\w.-]+)`", where) + [f"docs/{link}" for link in re.findall(r"\]\((.+?)\)", where)]
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def named_files(page: str) -> list[str]:
    """Paths of this checkout that a page names in code. `scripts/` has names that only the products' documents use."""
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"scripts"}
    return [name for name in re.findall(r"`([\w.-]+/[\w./-]+)`", page) if name.split("/")[0] in rooms]


@pytest.mark.parametrize("path", [path for path in PAGES if path != PAGE], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_that_a_page_names_is_there(path: Path) -> None:
    """ADA-51, PLAT-51: whoever follows the page into the code finds it."""
    assert [name for name in named_files(path.read_text()) if not (ROOT / name).exists()] == []


TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def commands(page: str) -> Iterator[list[str]]:
    """The words of each `./keel` and `make` in a page's code, to the first comment, ellipsis or further command, or to `--`, after which
    another program's begin."""
    fenced = False
    for line in page.splitlines():
        fenced ^= line.lstrip().startswith("```")
        in_block = fenced or line.startswith("    ")
        for code in [line.strip().removeprefix("$ ")] if in_block else re.findall(r"`([^`]+)`", line):
            if code.startswith(("./keel", "make ")):
                yield list(
                    takewhile(lambda word: word[0] not in "#…&─" and word != "--", code.replace("\\|", "|").split())
                )


def unknown(words: list[str]) -> list[str]:
    """What does not exist of a command: make's target, the command of `./keel`, an option of it."""
    program, *rest = words
    if program == "make":
        return [word for word in rest[:1] if word not in TARGETS]
    command: Any = typer.main.get_command(app)
    options = {"-e", "--env", "--help"}
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            if word not in options:
                return [word]
            rest = rest[1:] if word in ("-e", "--env") else rest
        elif hasattr(command, "get_command"):
            found = [command.get_command(None, name) for name in word.split("|")]
            if None in found:
                return [word]
            command = found[0]
            options |= {option for given in command.params for option in given.opts}
    return []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_command_in_a_page_can_be_typed(path: Path) -> None:
    """ADA-51, JEEX-48, PLAT-51: in code, what begins with `./keel` or `make` is there, with its options."""
    assert [" ".join(words) for words in commands(path.read_text()) if unknown(words)] == []


@pytest.mark.parametrize(
    ("page", "missing"),
    [
        ("```\n$ ./keel -e ENV backup list   # all\n```", []),
        ("    ./keel -e ENV backup lost", ["lost"]),
        ("`./keel backup run|list|burn`", ["run|list|burn"]),
        ("see `./keel restore --to X --product Y`", []),
        ("`./keel restore --too X`", ["--too"]),
        ("`./keel psql jeex_idea --role migrator`, `make up ENV=x`, `make upp`", ["upp"]),
        ("what you make of it is no command, and neither is `keel:ports`", []),
    ],
)
def test_a_command_that_is_not_there_would_be_noticed(page: str, missing: list[str]) -> None:
    assert [word for words in commands(page) for word in unknown(words)] == missing


def test_the_first_hour_goes_through_everything_once() -> None:
    """Setting, preview, break, drift, repair, restore, a column: each a command; and the way there is in README."""
    typed = [" ".join(words[:3]) for words in commands((ROOT / "docs" / "first-hour.md").read_text())]
    steps = [
        "make up",
        "make preview",
        "./keel drift",
        "./keel restore --to",
        "make migration product=jeex_idea",
        "make down",
    ]
    assert [step for step in steps if step not in typed] == []
    assert "first-hour.md" in (ROOT / "README.md").read_text()


RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
MESSAGE = re.compile(r"^\| *message *\|")
ROW = re.compile(r"^\|([^|]+)\|")
SPOKEN = ("ops", "environment", "db", "roles", "keel_host", "components")
"""Folders of the code whose texts a person reads."""


def quoted(page: str) -> Iterator[str]:
    """What a table `| message | what to do |` quotes of Keel, in pieces: an ellipsis replaces what varies."""
    in_table = False
    for line in page.splitlines():
        in_table = bool(MESSAGE.match(line)) or (in_table and line.startswith("|"))
        if in_table and (row := ROW.match(line)):
            for text in re.findall(r"(?<!PostgreSQL: )`([^`]+)`", row[1]):
                yield from (piece.strip() for piece in re.split("…|: ", text) if len(piece.strip()) > 4)


@cache
def spoken() -> str:
    """Every text of the code, each string as one, `…` where a value is filled in."""
    texts = []
    for path in (path for folder in SPOKEN for path in (ROOT / folder).rglob("*") if path.is_file()):
        if path.suffix == ".py":
            texts += [text for node in ast.walk(ast.parse(path.read_text())) if (text := literal(node))]
        elif path.parent.name == "templates" or path.suffix == ".sql":
            texts.append(path.read_text())
    return "\n".join(texts)


def literal(node: ast.AST) -> str | None:
    """The text of a string in the source."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@pytest.mark.parametrize("page", ["README.md", DATABASES, *(f"docs/runbooks/{path.name}" for path in RUNBOOKS)])
def test_a_message_in_a_page_is_one_that_keel_prints(page: str) -> None:
    """Whoever searches the pages for the words on the screen finds them."""
    assert [piece for piece in quoted((ROOT / page).read_text()) if piece not in spoken()] == []


def test_a_changed_message_would_be_noticed() -> None:
    """A row whose words no code says is found."""
    row = "| message | what to do |\n|---|---|\n| `… ended before …`, `this is said nowhere` | … |\n"
    assert [piece for piece in quoted(row) if piece not in spoken()] == ["this is said nowhere"]


def test_the_glossary_has_each_word_once_and_is_linked() -> None:
    """What a newcomer has to look up; "role" is told apart in a table of its own."""
    page = (ROOT / "docs" / "glossary.md").read_text()
    words = [word for names in re.findall(r"^- \*\*(.+?)\*\*", page, re.M) for word in names.split(", ")]
    assert sorted(words) == sorted(set(words))
    wanted = (
        "primary replica stanza repository timeline switchover failover lag drift manifest slice step stage lane drill"
    )
    assert set(wanted.split()) - set(words) == set()
    assert "glossary.md" in (ROOT / "README.md").read_text()
    assert "glossary.md" in (ROOT / "docs" / "architecture.md").read_text()


def test_a_baseline_is_recorded() -> None:
    """JEEX-43: the newest figures of the databases on large rows have times of every product's queries and migrations."""
    newest = json.loads(max((ROOT / "docs" / "evidence").glob("bench-databases-*.json")).read_text())
    assert "--size large" in newest["command"]
    for name in catalogue():
        measured = newest["products"][name]
        assert measured["queries"] and measured["migrations_filled"], name
