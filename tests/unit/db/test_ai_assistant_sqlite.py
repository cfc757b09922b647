"""AI Development Assistant's models without a server: SQLite in memory."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, inspect, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from db.ai_assistant import sqlite
from db.ai_assistant.factories import practice, rule, template
from db.ai_assistant.models import Base, Practice, Rule, Template


@pytest.fixture
def session() -> Iterator[Session]:
    """A session on an empty database of its own."""
    with Session(sqlite.engine()) as session:
        yield session


def test_the_tables_are_the_documents(session: Session) -> None:
    """ADA-44, Q-35: the same names, nullability and partial indexes as on PostgreSQL; GIN indexes are left out."""
    found = inspect(session.connection())
    assert set(found.get_table_names()) == {"rules", "practices", "templates"}
    for name in found.get_table_names():
        described = Base.metadata.tables[name]
        columns = {column["name"]: column["nullable"] for column in found.get_columns(name)}
        assert columns == {column.name: column.nullable for column in described.columns}
        indexes = {index["name"] for index in found.get_indexes(name)}
        assert indexes == {str(index.name) for index in described.indexes} - {
            "idx_rules_search", "idx_practices_search", "idx_rules_examples", "idx_practices_benefits",
        }  # fmt: skip
    (partial,) = [index for index in found.get_indexes("practices") if index["name"] == "idx_practices_category"]
    assert str(partial["dialect_options"]["sqlite_where"]) == "is_active = true"


def test_records_are_made_read_changed_and_removed(session: Session) -> None:
    """ADA-21, ADA-44: the models work as they do on PostgreSQL."""
    session.add_all([rule(1), rule(2, severity="CRITICAL"), practice(1), template(1)])
    session.commit()
    assert session.scalars(select(Rule.rule_id).where(Rule.severity == "CRITICAL", Rule.rule_id == "rules-2")).all()
    kept = session.get_one(Practice, "practices-1")
    assert kept.references == practice(1).references
    kept.benefits = ["one", {"more": 2}]
    session.execute(update(Rule).where(Rule.rule_id == "rules-1").values(active=False))
    session.execute(delete(Template))
    session.commit()
    session.expire_all()
    assert session.get_one(Practice, "practices-1").benefits == ["one", {"more": 2}]
    assert session.scalars(select(Rule.rule_id).where(Rule.active.is_(True))).all() == ["rules-2"]
    assert session.scalars(select(Template)).all() == []


def test_defaults_are_the_databases(session: Session) -> None:
    """ADA-07 to ADA-09: what is not given is filled in, moments included."""
    session.add(Rule(rule_id="R", category="c", title="t", description="d"))
    session.add(Practice(practice_id="P", category="c", title="t", description="d"))
    session.add(Template(template_id="T", category="c", name="n", template_content=""))
    session.commit()
    made = session.get_one(Rule, "R")
    assert (made.active, made.status, made.priority, made.created_by, made.examples) == (
        True,
        "ACTIVE",
        0,
        "system",
        [],
    )
    assert made.created_at is not None
    assert made.updated_at == made.created_at
    assert session.get_one(Practice, "P").is_required is False
    assert session.get_one(Template, "T").usage_count == 0


@pytest.mark.parametrize("wrong", [{"severity": "BAD"}, {"enforcement": "sometimes"}, {"title": None}])
def test_constraints_hold_there_too(session: Session, wrong: dict[str, str | None]) -> None:
    """ADA-07, ADA-44: a unit test meets the same refusal."""
    session.add(rule(1, **wrong))
    with pytest.raises(IntegrityError):
        session.commit()


def test_a_file_keeps_its_records(tmp_path: Path) -> None:
    """ADA-45: for work without a server; opened again, the records are there."""
    url = f"sqlite:///{tmp_path / 'rules.db'}"
    for number in (1, 2):
        with Session(sqlite.engine(url)) as session:
            session.add(rule(number))
            session.commit()
            assert len(session.scalars(select(Rule)).all()) == number


def test_in_memory_every_thread_has_the_same_tables_and_in_a_file_its_own_connection(tmp_path: Path) -> None:
    """ADA-45: a database in memory is its one connection's."""

    def tables(engine: Engine) -> set[str]:
        with ThreadPoolExecutor(1) as other:
            return set(other.submit(lambda: inspect(engine).get_table_names()).result())

    url = f"sqlite:///{tmp_path}/kept.db"
    assert tables(sqlite.engine()) == tables(sqlite.engine(url)) == set(sqlite.TABLES)
    assert not isinstance(sqlite.engine(url).pool, StaticPool)


def test_a_record_without_a_number_is_the_first() -> None:
    """ADA-21."""
    assert (rule().rule_id, practice().practice_id, template().template_id) == ("rules-0", "practices-0", "templates-0")
