"""What the five documents say in figures and names, as literals, against what products declare."""

from __future__ import annotations

import pytest

from db.populate import Size, rows
from environment.products import catalogue

EXTENSIONS = {
    "bacopilot": {"uuid-ossp", "pg_trgm", "pg_stat_statements"},
    "ai_assistant": {"pg_stat_statements"},
    "jeex_idea": {"pg_stat_statements"},
    "componentforge": {"pg_stat_statements"},
    "ruleiq": {"pg_trgm", "pg_stat_statements"},
}
ESTIMATES = {
    "users": 10_000, "documents": 100_000, "document_chunks": 1_000_000, "conversations": 100_000,
    "messages": 1_000_000, "embedding_models": 100, "evaluation_runs": 10_000, "requirement_exports": 100_000,
}  # fmt: skip
"""The upper estimates of ComponentForge's Tables Summary."""


def test_each_product_declares_its_documents_extensions() -> None:
    """PLAT-06, BAC-10, ADA-04, CF-02, CF-03, RIQ-02: these and no other, pgvector and jsonb_plperl not."""
    assert {name: set(product.extensions) for name, product in catalogue().items()} == EXTENSIONS


@pytest.mark.parametrize(("size", "part"), [(Size.LARGE, 1), (Size.MEDIUM, 10), (Size.SMALL, 100)])
def test_as_many_rows_as_the_document_estimates(size: Size, part: int) -> None:
    """BAC-33, CF-26: `large` is the upper estimate, the others a tenth and a hundredth of it; two rows at least."""
    made = {table.table: table.count for table in rows(catalogue()["componentforge"], size)}
    assert made == {table: max(2, most // part) for table, most in ESTIMATES.items()}
