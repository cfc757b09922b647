"""What the five documents say in figures and names, as literals, against what products declare."""

from __future__ import annotations

import pytest

from environment.load import ROOT, parse
from environment.products import catalogue
from tests.unit.stacks import config

EXTENSIONS = {
    "bacopilot": {"uuid-ossp", "pg_trgm", "pg_stat_statements"},
    "ai_assistant": {"pg_stat_statements"},
    "jeex_idea": {"pg_stat_statements"},
    "componentforge": {"pg_stat_statements"},
    "ruleiq": {"pg_trgm", "pg_stat_statements"},
}


def test_each_product_declares_its_documents_extensions() -> None:
    """PLAT-05, PLAT-06, BAC-10, ADA-04, CF-02, CF-03, RIQ-02: five databases by these names, with these extensions and no
    other: pgvector and jsonb_plperl not."""
    assert {name: set(product.extensions) for name, product in catalogue().items()} == EXTENSIONS


@pytest.mark.parametrize("stack", ["dev", "ci", "staging", "production"])
def test_every_stack_is_postgresql_18(stack: str) -> None:
    """PLAT-01, JEEX-01, RIQ-01: the one major version in which every product has what its document asks for (X-01)."""
    assert parse(config(stack), stack).release.postgres == 18


@pytest.mark.parametrize("name", ["test_database.py", "test_migrations.py", "test_performance.py"])
def test_the_test_files_are_called_as_in_the_document(name: str) -> None:
    """BAC-50: each is there and has tests; `make test-db` runs them."""
    assert "\ndef test_" in (ROOT / "tests" / name).read_text()
