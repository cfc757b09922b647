"""What a requirement wants written down is where a reader looks for it."""

from __future__ import annotations

import json
import re

import pytest

from environment.load import ROOT
from environment.products import catalogue
from tools.requirements_map import PAGE, citations, cited, requirements

DATABASES = "docs/database_documentation.md"
WRITTEN = [
    ("ADA-16", "db/ai_assistant/README.md", ["Partitioning", "10 million rows", "one million records"]),
    ("JEEX-14", "db/jeex_idea/README.md", ["Partitioning", "`agent_executions` by month", "50 million", "20 million"]),
    ("ADA-20", DATABASES, ["two versions for what others use (ADA-20)"]),
    ("CF-40", DATABASES, ["TooManyConnectionsError", "slow queries", "connection timeouts"]),
    ("JEEX-48", DATABASES, ["**A new revision.**", "**When one fails**", "**Override.**", "**By hand.**"]),
    ("ADA-51", DATABASES, ["## Who is told"]),
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


@pytest.mark.parametrize("page", ["README.md", DATABASES, *(f"db/{name}/README.md" for name in catalogue())])
def test_links_lead_somewhere(page: str) -> None:
    """BAC-52, PLAT-51: no page points at a file that is gone."""
    path = ROOT / page
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


def test_every_contradiction_is_resolved_on_a_page() -> None:
    """PLAT-51: X-01 to X-52, each on a page that a person reads."""
    pages = [
        ROOT / "README.md",
        *(path for folder in ("docs", "db", "roles") for path in (ROOT / folder).rglob("*.md")),
    ]
    pages.remove(PAGE)
    found = {name for path in pages for name in re.findall(r"(?<![A-Z])X-\d\d\b", path.read_text())}
    assert [name for name in (f"X-{number:02d}" for number in range(1, 53)) if name not in found] == []


def test_a_baseline_is_recorded() -> None:
    """JEEX-43: the newest figures of the databases on large rows have times of every product's queries and migrations."""
    newest = json.loads(max((ROOT / "docs" / "evidence").glob("bench-databases-*.json")).read_text())
    assert "--size large" in newest["command"]
    for name in catalogue():
        measured = newest["products"][name]
        assert measured["queries"] and measured["migrations_filled"], name
