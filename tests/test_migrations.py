"""BA Copilot's history as its document's pipeline runs it: up, down, up, then the verification of its schema."""

import re

from alembic import command
from sqlalchemy import NullPool, create_engine, inspect

from db import migrate
from environment.products import ROOT, Product
from tests.db.fixtures import only

product = only("bacopilot")

TABLES = {"users", "documents", "wireframes", "conversations", "messages", "diagrams"}
INDEXES = {
    "users": "idx_users_email",
    "documents": "idx_documents_user_id",
    "conversations": "idx_conversations_user_id",
    "messages": "idx_messages_conversation_id",
}


def problems(url: str) -> list[str]:
    """What the document's scripts/verify_schema.py looks for, one sentence each."""
    found = inspect(create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool))
    tables = set(found.get_table_names())
    said = [f"no table {table}" for table in sorted(TABLES - tables)]
    for table in sorted(tables):
        targets = {key["referred_table"] for key in found.get_foreign_keys(table)}
        said += [f"{table} refers to {target}, which is not there" for target in sorted(targets - tables)]
    for table, index in INDEXES.items():
        if table in tables and index not in {one["name"] for one in found.get_indexes(table)}:
            said.append(f"no index {index} on {table}")
    return said


def test_up_down_and_up_again(product: Product, empty: str) -> None:
    """PLAT-27, BAC-31, BAC-50: nothing is left after the way down, nothing is missing after the second way up."""
    config = migrate.config(product, empty)
    assert problems(empty) == [f"no table {table}" for table in sorted(TABLES)]
    for _ in range(2):
        command.upgrade(config, "head")
        assert problems(empty) == []
        assert migrate.differences(product, empty) == []
        command.downgrade(config, "base")
        assert problems(empty) == [f"no table {table}" for table in sorted(TABLES)]


def test_a_revision_is_called_by_its_time() -> None:
    """BAC-30: YYYYMMDD_HHMM, then what it does in lower snake case."""
    files = sorted((ROOT / "migrations" / "bacopilot" / "versions").glob("*.py"))
    assert len(files) > 5
    for path in files:
        assert re.fullmatch(r"20\d{6}_[0-2]\d[0-5]\d_[a-z0-9_]+", path.stem), path.name
        assert f'\nrevision = "{path.stem}"\n' in path.read_text(), path.name
