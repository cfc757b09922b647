"""AI Development Assistant's tables (ADA-07 … ADA-14), as seed 001 has them, with these decisions:

- keys are texts with a meaning, as in the seed, and not UUIDs (X-03);
- `practices."references"` keeps its name, which SQL has to quote (Q-01);
- `active`, `is_active` and `status` all stay, the booleans decide (X-37);
- timestamps of the seed have no time zone and are in UTC, their defaults too; ours have one (X-05);
- `deactivated_at`, the archive tables and `hard_deletes` are ours (ADA-13, ADA-14, X-49).
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Column, Identity, Index, MetaData, Numeric, String, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.models import NAMING


class Base(DeclarativeBase):
    """Maps Python's types to the seed's."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: TIMESTAMP(timezone=False),
        Decimal: Numeric(3, 2),
        list[Any]: JSONB(),
        str: Text(),
    }


NOW = text("timezone('UTC', now())")
EMPTY = text("'[]'")
YES, NO, ZERO = text("true"), text("false"), text("0")
SYSTEM = text("'system'")
MOMENT = TIMESTAMP(timezone=True)
"""For columns that the seed does not have (X-05)."""


def _search(name: str) -> Index:
    """Full text of title and description (ADA-03, ADA-11); a query has to repeat this expression.

    The inner parentheses are PostgreSQL's, or Alembic would see a difference.
    """
    return Index(name, text("to_tsvector('english', (title || ' ') || description)"), postgresql_using="gin")


class Rule(Base):
    """What code has to comply with (ADA-07)."""

    __tablename__ = "rules"
    __table_args__ = (
        Index("idx_rules_category", "category", postgresql_where=text("active = true")),
        Index("idx_rules_severity", "severity", text("created_at DESC"), postgresql_where=text("active = true")),
        _search("idx_rules_search"),
        Index("idx_rules_examples", "examples", postgresql_using="gin"),
    )

    rule_id: Mapped[str] = mapped_column(String(50), primary_key=True)
    category: Mapped[str] = mapped_column(String(100))
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str]
    severity: Mapped[str | None] = mapped_column(
        String(20), CheckConstraint("severity IN ('CRITICAL', 'ERROR', 'WARNING', 'INFO')", name="severity")
    )
    enforcement: Mapped[str | None] = mapped_column(
        String(20), CheckConstraint("enforcement IN ('mandatory', 'recommended', 'optional')", name="enforcement")
    )
    examples: Mapped[list[Any] | None] = mapped_column(server_default=EMPTY)
    anti_patterns: Mapped[list[Any] | None] = mapped_column(server_default=EMPTY)
    violations_consequence: Mapped[str | None]
    created_by: Mapped[str | None] = mapped_column(String(100), server_default=SYSTEM)
    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    active: Mapped[bool | None] = mapped_column(server_default=YES)
    priority: Mapped[int | None] = mapped_column(server_default=ZERO)
    status: Mapped[str | None] = mapped_column(String(20), server_default=text("'ACTIVE'"))
    deactivated_at: Mapped[datetime | None] = mapped_column(MOMENT)


class Practice(Base):
    """What has proved itself (ADA-08)."""

    __tablename__ = "practices"
    __table_args__ = (
        Index("idx_practices_category", "category", postgresql_where=text("is_active = true")),
        _search("idx_practices_search"),
        Index("idx_practices_benefits", "benefits", postgresql_using="gin"),
    )

    practice_id: Mapped[str] = mapped_column(String(50), primary_key=True)
    category: Mapped[str] = mapped_column(String(100))
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str]
    benefits: Mapped[list[Any] | None] = mapped_column(server_default=EMPTY)
    implementation_guide: Mapped[str | None]
    anti_patterns: Mapped[list[Any] | None] = mapped_column(server_default=EMPTY)
    references: Mapped[list[Any] | None] = mapped_column(server_default=EMPTY)
    examples: Mapped[list[Any] | None] = mapped_column(server_default=EMPTY)
    effectiveness_score: Mapped[Decimal | None]
    adoption_rate: Mapped[Decimal | None]
    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    is_active: Mapped[bool | None] = mapped_column(server_default=YES)
    is_required: Mapped[bool | None] = mapped_column(server_default=NO)
    deactivated_at: Mapped[datetime | None] = mapped_column(MOMENT)


class Template(Base):
    """Text with variables to start from (ADA-09)."""

    __tablename__ = "templates"
    __table_args__ = (Index("idx_templates_category", "category", postgresql_where=text("is_active = true")),)

    template_id: Mapped[str] = mapped_column(String(50), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None]
    category: Mapped[str] = mapped_column(String(100))
    template_content: Mapped[str]
    variables: Mapped[list[Any] | None] = mapped_column(server_default=EMPTY)
    tags: Mapped[list[Any] | None] = mapped_column(server_default=EMPTY)
    usage_count: Mapped[int | None] = mapped_column(server_default=ZERO)
    is_active: Mapped[bool | None] = mapped_column(server_default=YES)
    created_by: Mapped[str | None] = mapped_column(String(100), server_default=SYSTEM)
    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    deactivated_at: Mapped[datetime | None] = mapped_column(MOMENT)


class HardDelete(Base):
    """A record that was erased, and why: what `hard_delete` leaves behind (ADA-13, X-49)."""

    __tablename__ = "hard_deletes"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    table_name: Mapped[str]
    record_id: Mapped[str] = mapped_column(String(50))
    reason: Mapped[str]
    rows_deleted: Mapped[int]
    deleted_by: Mapped[str] = mapped_column(server_default=text("session_user"))
    deleted_at: Mapped[datetime] = mapped_column(MOMENT, server_default=text("now()"))


def _archive(table: Table, key: str) -> Table:
    """The table where inactive records go (ADA-14): the same columns, and one record as often as it was archived."""
    archived_at = Column("archived_at", MOMENT, primary_key=True, server_default=text("now()"))
    columns = [Column(c.name, c.type, nullable=c.nullable, primary_key=c.name == key) for c in table.columns]
    return Table(f"{table.name}_archive", Base.metadata, *columns, archived_at)


ARCHIVES = tuple(
    _archive(Base.metadata.tables[table], key)
    for table, key in (("rules", "rule_id"), ("practices", "practice_id"), ("templates", "template_id"))
)
