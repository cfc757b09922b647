"""BA Copilot's tables (BAC-13 … BAC-18), as seed 000 has them, with these decisions:

- ids default to `gen_random_uuid()` (X-04), primary keys are called after their table (X-03);
- timestamps have a time zone (X-05);
- `users.email` has both a unique constraint and the seed's plain index, one of them redundant (X-25);
- `messages` has `updated_at` (X-26, BAC-21), every `metadata` its GIN index (X-27, BAC-22);
- `document_versions` keeps what documents said before (X-28, BAC-20);
- `status` has no CHECK, as in the seed (X-52).
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.models import NAMING


class Base(DeclarativeBase):
    """Maps Python's types to the seed's."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: TIMESTAMP(timezone=True),
        dict[str, Any]: JSONB(),
        str: Text(),
    }


NOW = text("CURRENT_TIMESTAMP")
RANDOM_UUID = text("gen_random_uuid()")
EMPTY = text("'{}'")
USER = "users.user_id"


class User(Base):
    """Who logs in; the root of every identity (BAC-13)."""

    __tablename__ = "users"
    __table_args__ = (
        Index("idx_users_email", "email"),
        Index("idx_users_created_at", "created_at"),
        Index("idx_users_active", "is_active"),
    )

    user_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_UUID)
    email: Mapped[str] = mapped_column(String(255), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    full_name: Mapped[str] = mapped_column(String(255))
    organization: Mapped[str | None] = mapped_column(String(255))
    preferences: Mapped[dict[str, Any] | None] = mapped_column(server_default=EMPTY)
    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    is_active: Mapped[bool | None] = mapped_column(server_default=text("true"))


class Document(Base):
    """A software requirements specification in its current version (BAC-14)."""

    __tablename__ = "documents"
    __table_args__ = (
        Index("idx_documents_user_id", "user_id"),
        Index("idx_documents_project_name", "project_name"),
        Index("idx_documents_status", "status"),
        Index("idx_documents_created_at", "created_at"),
        Index("idx_documents_metadata", "metadata", postgresql_using="gin"),
    )

    document_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_UUID)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(USER, ondelete="CASCADE"))
    project_name: Mapped[str] = mapped_column(String(500))
    content: Mapped[str]
    # `metadata` is SQLAlchemy's own name in a model
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", server_default=EMPTY)
    status: Mapped[str | None] = mapped_column(String(50), server_default=text("'draft'"))
    version: Mapped[int | None] = mapped_column(server_default=text("1"))
    file_path: Mapped[str | None] = mapped_column(String(1000))
    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime | None] = mapped_column(server_default=NOW)


class DocumentVersion(Base):
    """What a document said before it was changed; written by a trigger (X-28, BAC-20)."""

    __tablename__ = "document_versions"
    # The name is PostgreSQL's own; its index serves the foreign key too.
    __table_args__ = (UniqueConstraint("document_id", "version", name="document_versions_document_id_version_key"),)

    version_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_UUID)
    document_id: Mapped[UUID] = mapped_column(ForeignKey(Document.document_id, ondelete="CASCADE"))
    version: Mapped[int]
    content: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class Wireframe(Base):
    """A page's HTML and CSS (BAC-15)."""

    __tablename__ = "wireframes"
    __table_args__ = (
        Index("idx_wireframes_user_id", "user_id"),
        Index("idx_wireframes_title", "title"),
        Index("idx_wireframes_template_type", "template_type"),
        Index("idx_wireframes_created_at", "created_at"),
        Index("idx_wireframes_metadata", "metadata", postgresql_using="gin"),
    )

    wireframe_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_UUID)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(USER, ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(500))
    html_content: Mapped[str | None]
    css_styles: Mapped[str | None]
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", server_default=EMPTY)
    template_type: Mapped[str | None] = mapped_column(String(100))
    preview_url: Mapped[str | None] = mapped_column(String(1000))
    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime | None] = mapped_column(server_default=NOW)


class Conversation(Base):
    """A talk between a user and the assistant (BAC-16)."""

    __tablename__ = "conversations"
    __table_args__ = (
        Index("idx_conversations_user_id", "user_id"),
        Index("idx_conversations_title", "title"),
        Index("idx_conversations_created_at", "created_at"),
        Index("idx_conversations_metadata", "metadata", postgresql_using="gin"),
    )

    conversation_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_UUID)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(USER, ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(500))
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", server_default=EMPTY)
    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime | None] = mapped_column(server_default=NOW)


class Message(Base):
    """One thing said in a conversation (BAC-17)."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("idx_messages_conversation_id", "conversation_id"),
        Index("idx_messages_timestamp", "timestamp"),
        Index("idx_messages_role", "role"),
        Index("idx_messages_metadata", "metadata", postgresql_using="gin"),
    )

    message_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_UUID)
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey(Conversation.conversation_id, ondelete="CASCADE"))
    role: Mapped[str] = mapped_column(
        String(20), CheckConstraint("role IN ('user', 'assistant', 'system')", name="role")
    )
    content: Mapped[str]
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", server_default=EMPTY)
    token_count: Mapped[int | None]
    timestamp: Mapped[datetime | None] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime | None] = mapped_column(server_default=NOW)


class Diagram(Base):
    """A diagram as Mermaid code (BAC-18)."""

    __tablename__ = "diagrams"
    __table_args__ = (
        Index("idx_diagrams_user_id", "user_id"),
        Index("idx_diagrams_type", "diagram_type"),
        Index("idx_diagrams_title", "title"),
        Index("idx_diagrams_created_at", "created_at"),
        Index("idx_diagrams_metadata", "metadata", postgresql_using="gin"),
    )

    diagram_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=RANDOM_UUID)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(USER, ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(500))
    diagram_type: Mapped[str] = mapped_column(
        String(50),
        CheckConstraint("diagram_type IN ('sequence', 'architecture', 'usecase', 'flowchart')", name="diagram_type"),
    )
    mermaid_code: Mapped[str]
    preview_url: Mapped[str | None] = mapped_column(String(1000))
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", server_default=EMPTY)
    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
