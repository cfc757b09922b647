"""ComponentForge's tables (CF-05 … CF-16), as seed 003 has them, with these decisions:

- ids stay integers from a sequence, JSON stays `json` (X-03, X-24);
- each `index=True` of the seed is an index, also on a primary key, where it is redundant (X-41);
- the seed's Python-side defaults are the database's, so that raw SQL has them too (X-39);
- the database cascades, and the ORM leaves it to do so: `passive_deletes` (CF-16, X-47);
- `updated_at` is kept by triggers (PLAT-12); the model knows that a flush may have changed it.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, DateTime, FetchedValue, ForeignKey, Index, MetaData, String, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from db.models import NAMING

Json = dict[str, Any]


class Base(DeclarativeBase):
    """Maps Python's types to the seed's; `index=True` gives SQLAlchemy's usual name, ix_<table>_<column>."""

    metadata = MetaData(naming_convention=NAMING | {"ix": "ix_%(column_0_label)s"})
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        Json: JSON(),
        list[int]: JSON(),
        str: Text(),
    }


NOW = text("now()")
ZERO = text("0")
TRUE = text("true")
FALSE = text("false")
PENDING = text("'pending'")


class TimestampMixin:
    """When a row was made and last changed (CF-05)."""

    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW, server_onupdate=FetchedValue())


class User(TimestampMixin, Base):
    """Who logs in; the root of every identity (CF-06)."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True, index=True)
    email: Mapped[str] = mapped_column(String(255), unique=True, index=True)
    username: Mapped[str] = mapped_column(String(100), unique=True, index=True)
    hashed_password: Mapped[str] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(server_default=TRUE)
    is_admin: Mapped[bool] = mapped_column(server_default=FALSE)
    preferences: Mapped[Json | None] = mapped_column(server_default=text("'{}'::json"))
    last_login_at: Mapped[datetime | None]

    conversations: Mapped[list["Conversation"]] = relationship(
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True
    )
    documents: Mapped[list["Document"]] = relationship(
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True
    )
    requirement_exports: Mapped[list["RequirementExport"]] = relationship(
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True
    )


class Document(TimestampMixin, Base):
    """An uploaded file (CF-07); processing_status: pending, processing, completed, failed (X-52)."""

    __tablename__ = "documents"
    __table_args__ = (
        Index("ix_documents_user_status_created", "user_id", "processing_status", "created_at"),
        Index("ix_documents_user_status", "user_id", "processing_status"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    title: Mapped[str] = mapped_column(String(500))
    filename: Mapped[str] = mapped_column(String(500))
    file_path: Mapped[str] = mapped_column(String(1000))
    content_type: Mapped[str | None] = mapped_column(String(100))
    processing_status: Mapped[str] = mapped_column(String(50), server_default=PENDING, index=True)
    extracted_text: Mapped[str | None]
    embedding_model: Mapped[str | None] = mapped_column(String(100))
    chunk_count: Mapped[int] = mapped_column(server_default=ZERO)

    user: Mapped[User] = relationship(back_populates="documents")
    chunks: Mapped[list["DocumentChunk"]] = relationship(
        back_populates="document", cascade="all, delete-orphan", passive_deletes=True
    )


class DocumentChunk(TimestampMixin, Base):
    """A piece of a document's text, its vector elsewhere (CF-08); chunk_index counts from 0."""

    __tablename__ = "document_chunks"
    __table_args__ = (UniqueConstraint("document_id", "chunk_index", name="uq_document_chunk_index"),)

    id: Mapped[int] = mapped_column(primary_key=True, index=True)
    document_id: Mapped[int] = mapped_column(ForeignKey(Document.id, ondelete="CASCADE"), index=True)
    chunk_index: Mapped[int]
    content: Mapped[str]
    vector_id: Mapped[str | None] = mapped_column(String(100), index=True)
    embedding_model: Mapped[str | None] = mapped_column(String(100))
    token_count: Mapped[int | None]

    document: Mapped[Document] = relationship(back_populates="chunks")


class Conversation(TimestampMixin, Base):
    """A chat with a language model (CF-09); status: active, archived, deleted (X-52)."""

    __tablename__ = "conversations"

    id: Mapped[int] = mapped_column(primary_key=True, index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    title: Mapped[str | None] = mapped_column(String(500))
    model_name: Mapped[str] = mapped_column(String(100), server_default=text("'gpt-4'"))
    temperature: Mapped[float] = mapped_column(server_default=text("0.7"))
    status: Mapped[str] = mapped_column(String(50), server_default=text("'active'"), index=True)
    message_count: Mapped[int] = mapped_column(server_default=ZERO)
    total_tokens_used: Mapped[int] = mapped_column(server_default=ZERO)

    user: Mapped[User] = relationship(back_populates="conversations")
    messages: Mapped[list["Message"]] = relationship(
        back_populates="conversation", cascade="all, delete-orphan", passive_deletes=True
    )


class Message(TimestampMixin, Base):
    """A message, possibly a reply to another one (CF-10); role: user, assistant, system (X-52)."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_conversation_tokens", "conversation_id", "total_tokens"),
        Index("ix_messages_conversation_created", "conversation_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, index=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey(Conversation.id, ondelete="CASCADE"), index=True)
    parent_message_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id", ondelete="SET NULL"), index=True)
    role: Mapped[str] = mapped_column(String(50))
    content: Mapped[str]
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    total_tokens: Mapped[int | None]
    context_documents: Mapped[list[int] | None]

    conversation: Mapped[Conversation] = relationship(back_populates="messages")
    parent_message: Mapped["Message | None"] = relationship(back_populates="replies", remote_side=[id])
    replies: Mapped[list["Message"]] = relationship(back_populates="parent_message", passive_deletes=True)


class EmbeddingModel(TimestampMixin, Base):
    """A model that makes vectors of chunks (CF-11); belongs to no user."""

    __tablename__ = "embedding_models"

    id: Mapped[int] = mapped_column(primary_key=True, index=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    provider: Mapped[str] = mapped_column(String(50))
    dimension: Mapped[int]
    max_tokens: Mapped[int]
    is_active: Mapped[bool] = mapped_column(server_default=TRUE)


class EvaluationRun(TimestampMixin, Base):
    """A measurement of a language model (CF-12); status: pending, running, completed, failed (X-52)."""

    __tablename__ = "evaluation_runs"

    id: Mapped[int] = mapped_column(primary_key=True, index=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None]
    model_name: Mapped[str] = mapped_column(String(100))
    dataset_name: Mapped[str | None] = mapped_column(String(200))
    config: Mapped[Json | None]
    status: Mapped[str] = mapped_column(String(50), server_default=PENDING, index=True)
    metrics: Mapped[Json | None]


class RequirementExport(TimestampMixin, Base):
    """Requirements of a component as a user approved them (CF-13)."""

    __tablename__ = "requirement_exports"

    id: Mapped[int] = mapped_column(primary_key=True, index=True)
    user_id: Mapped[int] = mapped_column(
        ForeignKey(User.id, name="fk_requirement_exports_user_id", ondelete="CASCADE"), index=True
    )
    component_type: Mapped[str] = mapped_column(String(100), index=True)
    requirements: Mapped[Json]
    approved_count: Mapped[int] = mapped_column(server_default=ZERO)
    edited_count: Mapped[int] = mapped_column(server_default=ZERO)
    custom_added_count: Mapped[int] = mapped_column(server_default=ZERO)
    proposal_latency_ms: Mapped[int | None]
    used_in_pattern_retrieval: Mapped[bool] = mapped_column(server_default=FALSE)
    used_in_code_generation: Mapped[bool] = mapped_column(server_default=FALSE)

    user: Mapped[User] = relationship(back_populates="requirement_exports")
