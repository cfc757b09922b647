"""ComponentForge's models as its document has them (seed 003, Core Models), without relationships and queries.

What we changed is in componentforge.yaml; only Q-09 is corrected here.
"""

from sqlalchemy import JSON, Boolean, Column, DateTime, Float, ForeignKey, Integer, String, Text, UniqueConstraint, func
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """Base."""


class TimestampMixin:
    """TimestampMixin."""

    created_at = Column(DateTime(timezone=True), server_default=func.now(), nullable=False)
    updated_at = Column(DateTime(timezone=True), server_default=func.now(), onupdate=func.now(), nullable=False)


class User(Base, TimestampMixin):
    """User Model."""

    __tablename__ = "users"

    id = Column(Integer, primary_key=True, index=True)
    email = Column(String(255), unique=True, index=True, nullable=False)
    username = Column(String(100), unique=True, index=True, nullable=False)
    hashed_password = Column(String(255), nullable=False)
    is_active = Column(Boolean, default=True, nullable=False)
    is_admin = Column(Boolean, default=False, nullable=False)
    preferences = Column(JSON, default=dict)
    last_login_at = Column(DateTime(timezone=True), nullable=True)


class Document(Base, TimestampMixin):
    """Document Model."""

    __tablename__ = "documents"

    id = Column(Integer, primary_key=True, index=True)
    user_id = Column(Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True)
    title = Column(String(500), nullable=False)
    filename = Column(String(500), nullable=False)
    file_path = Column(String(1000), nullable=False)
    content_type = Column(String(100), nullable=True)
    processing_status = Column(String(50), default="pending", nullable=False, index=True)
    extracted_text = Column(Text, nullable=True)
    embedding_model = Column(String(100), nullable=True)
    chunk_count = Column(Integer, default=0, nullable=False)


class DocumentChunk(Base, TimestampMixin):
    """DocumentChunk Model."""

    __tablename__ = "document_chunks"

    id = Column(Integer, primary_key=True, index=True)
    document_id = Column(Integer, ForeignKey("documents.id", ondelete="CASCADE"), nullable=False, index=True)
    chunk_index = Column(Integer, nullable=False)
    content = Column(Text, nullable=False)
    vector_id = Column(String(100), nullable=True, index=True)
    embedding_model = Column(String(100), nullable=True)
    token_count = Column(Integer, nullable=True)

    __table_args__ = (
        UniqueConstraint("document_id", "chunk_index", name="uq_document_chunk_index"),
        # the document also has Index('ix_document_chunks_vector_id', 'vector_id'), which index=True has made.
    )


class Conversation(Base, TimestampMixin):
    """Conversation Model."""

    __tablename__ = "conversations"

    id = Column(Integer, primary_key=True, index=True)
    user_id = Column(Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True)
    title = Column(String(500), nullable=True)
    model_name = Column(String(100), default="gpt-4", nullable=False)
    temperature = Column(Float, default=0.7, nullable=False)
    status = Column(String(50), default="active", nullable=False, index=True)
    message_count = Column(Integer, default=0, nullable=False)
    total_tokens_used = Column(Integer, default=0, nullable=False)


class Message(Base, TimestampMixin):
    """Message Model."""

    __tablename__ = "messages"

    id = Column(Integer, primary_key=True, index=True)
    conversation_id = Column(Integer, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False, index=True)
    parent_message_id = Column(Integer, ForeignKey("messages.id", ondelete="SET NULL"), nullable=True, index=True)
    role = Column(String(50), nullable=False)
    content = Column(Text, nullable=False)
    prompt_tokens = Column(Integer, nullable=True)
    completion_tokens = Column(Integer, nullable=True)
    total_tokens = Column(Integer, nullable=True)
    context_documents = Column(JSON, nullable=True)


class EmbeddingModel(Base, TimestampMixin):
    """EmbeddingModel Model."""

    __tablename__ = "embedding_models"

    id = Column(Integer, primary_key=True, index=True)
    name = Column(String(100), unique=True, nullable=False)
    provider = Column(String(50), nullable=False)
    dimension = Column(Integer, nullable=False)
    max_tokens = Column(Integer, nullable=False)
    is_active = Column(Boolean, default=True, nullable=False)


class EvaluationRun(Base, TimestampMixin):
    """EvaluationRun Model."""

    __tablename__ = "evaluation_runs"

    id = Column(Integer, primary_key=True, index=True)
    name = Column(String(200), nullable=False)
    description = Column(Text, nullable=True)
    model_name = Column(String(100), nullable=False)
    dataset_name = Column(String(200), nullable=True)
    config = Column(JSON, nullable=True)
    status = Column(String(50), default="pending", nullable=False, index=True)
    metrics = Column(JSON, nullable=True)


class RequirementExport(Base, TimestampMixin):
    """RequirementExport Model."""

    __tablename__ = "requirement_exports"

    id = Column(Integer, primary_key=True, index=True)
    user_id = Column(Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True)
    component_type = Column(String(100), nullable=False, index=True)
    requirements = Column(JSON, nullable=False)
    approved_count = Column(Integer, default=0, nullable=False)
    edited_count = Column(Integer, default=0, nullable=False)
    custom_added_count = Column(Integer, default=0, nullable=False)
    proposal_latency_ms = Column(Integer, nullable=True)
    used_in_pattern_retrieval = Column(Boolean, default=False, nullable=False)
    used_in_code_generation = Column(Boolean, default=False, nullable=False)


metadata = Base.metadata
