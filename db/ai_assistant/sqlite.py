"""The document's three tables in SQLite, for unit tests and for work without a server (ADA-44, ADA-45).

PostgreSQL's own statements do not run there (Q-35), so this schema is made from the models, with other words for the
same: JSON for JSONB, CURRENT_TIMESTAMP for now(). Models, columns, defaults, CHECKs and partial indexes are the same.
Not there: triggers (updated_at and deactivated_at stay as written), full text and GIN indexes, archive. What needs
those is tested on PostgreSQL.
"""

from typing import Any

from sqlalchemy import JSON, DefaultClause, Engine, MetaData, Table, create_engine, pool, text
from sqlalchemy.dialects.postgresql import JSONB

from db.ai_assistant.models import Base, Practice, Rule, Template

TABLES = (Rule.__tablename__, Practice.__tablename__, Template.__tablename__)


def engine(url: str = "sqlite://") -> Engine:
    """An engine whose database has the tables, empty; by default in memory, gone with the engine."""
    # In memory there is one connection, for each would have a database of its own; all threads share it.
    shared: dict[str, Any] = {"poolclass": pool.StaticPool, "connect_args": {"check_same_thread": False}}
    made = create_engine(url, **(shared if url == "sqlite://" else {}))
    schema().create_all(made)
    return made


def schema() -> MetaData:
    """The tables as SQLite understands them."""
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)
    for name in TABLES:
        _translate(Base.metadata.tables[name].to_metadata(metadata))
    return metadata


def _translate(table: Table) -> None:
    for column in table.columns:
        if isinstance(column.type, JSONB):
            column.type = JSON()
        if isinstance(column.server_default, DefaultClause) and "now()" in str(column.server_default.arg):
            column.server_default = DefaultClause(text("CURRENT_TIMESTAMP"))
    for index in list(table.indexes):
        options = index.dialect_options
        if options["postgresql"]["using"] == "gin":
            table.indexes.discard(index)
        options["sqlite"]["where"] = options["postgresql"]["where"]
