"""JEEX Idea's tables (JEEX-07 … JEEX-13), as seed 002 has them, with these decisions:

- ids default to `uuidv7()`: built in from PostgreSQL 18 on, Keel's own function before (X-04, JEEX-12, Q-30);
- `project_id` is NOT NULL, or the unique version index would let duplicates pass (JEEX-13);
- `created_by` has no ON DELETE: who owns projects or wrote versions cannot be deleted (Q-31);
- `users.email` has both of the seed's unique indexes, one of them redundant (X-25);
- timestamps have no time zone and are in UTC; their defaults are too, whatever the session's zone is (X-05).
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.models import NAMING


class Base(DeclarativeBase):
    """Maps Python's types to the seed's."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: TIMESTAMP(timezone=False),
        dict[str, Any]: JSONB(),
        str: Text(),
    }


NOW = text("timezone('UTC', now())")
UUIDV7 = text("uuidv7()")
EMPTY = text("'{}'")
PENDING = text("'pending'")


class User(Base):
    """Who logs in; the root of every identity (JEEX-07)."""

    __tablename__ = "users"
    __table_args__ = (Index("idx_users_email", "email", unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUIDV7)
    email: Mapped[str] = mapped_column(String(255), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    profile_data: Mapped[dict[str, Any] | None] = mapped_column(server_default=EMPTY)
    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    last_login_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None] = mapped_column(server_default=NOW)


class Project(Base):
    """An idea on its way through four steps (JEEX-08)."""

    __tablename__ = "projects"
    __table_args__ = (
        Index("idx_projects_created", text("created_at DESC")),
        Index("idx_projects_user_status", "created_by", "status", text("updated_at DESC")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUIDV7)
    name: Mapped[str] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(50), server_default=text("'draft'"))
    current_step: Mapped[int | None] = mapped_column(
        CheckConstraint("current_step BETWEEN 1 AND 4", name="current_step"), server_default=text("1")
    )
    language: Mapped[str] = mapped_column(String(10), server_default=text("'en'"))
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey(User.id))
    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime | None] = mapped_column(server_default=NOW)


class DocumentVersion(Base):
    """A document of a project, a row per version (JEEX-09)."""

    __tablename__ = "document_versions"
    __table_args__ = (
        Index("idx_documents_project_type", "project_id", "document_type"),
        Index("idx_documents_project_version", "project_id", text("version DESC")),
        Index("idx_documents_created_by", "created_by"),  # ours, for its foreign key
        Index("idx_documents_unique_version", "project_id", "document_type", "version", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUIDV7)
    project_id: Mapped[UUID] = mapped_column(ForeignKey(Project.id, ondelete="CASCADE"))
    document_type: Mapped[str] = mapped_column(String(50))
    version: Mapped[int]
    content: Mapped[str]
    # `metadata` is SQLAlchemy's own name in a model
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", server_default=EMPTY)
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey(User.id))
    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)


class AgentExecution(Base):
    """One run of an agent for a project (JEEX-10)."""

    __tablename__ = "agent_executions"
    __table_args__ = (
        Index("idx_executions_project", "project_id", text("started_at DESC")),
        Index("idx_executions_correlation", "correlation_id"),
        Index("idx_executions_status", "status", "started_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUIDV7)
    project_id: Mapped[UUID] = mapped_column(ForeignKey(Project.id, ondelete="CASCADE"))
    agent_type: Mapped[str] = mapped_column(String(50))
    correlation_id: Mapped[UUID]
    input_data: Mapped[dict[str, Any] | None]
    output_data: Mapped[dict[str, Any] | None]
    status: Mapped[str] = mapped_column(String(50), server_default=PENDING)
    error_message: Mapped[str | None]
    started_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    completed_at: Mapped[datetime | None]


class Export(Base):
    """A file made from a project, kept for a day (JEEX-11)."""

    __tablename__ = "exports"
    __table_args__ = (
        Index("idx_exports_project", "project_id"),
        Index("idx_exports_expires", "expires_at", postgresql_where=text("status = 'completed'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUIDV7)
    project_id: Mapped[UUID] = mapped_column(ForeignKey(Project.id, ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(String(50), server_default=PENDING)
    file_path: Mapped[str | None]
    manifest: Mapped[dict[str, Any] | None] = mapped_column(server_default=EMPTY)
    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime | None] = mapped_column(
        server_default=text("timezone('UTC', now()) + interval '24 hours'")
    )
