"""ruleIQ's tables (RIQ-04 … RIQ-16) in their final form, as seed 004 has them after its own corrections:

- the nine column names in full (RIQ-23), CHECKs and foreign keys that the seed misses (RIQ-11 … RIQ-16);
- ids default to `gen_random_uuid()`, timestamps have no time zone, except `approved_at` (X-04, X-05);
- what the seed names without DDL has what its relations need and little more (RIQ-08, RIQ-09, X-33);
- `status`, `employee_count` and `data_sensitivity` stay nullable: null is "not stated" (Q-29).
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, Numeric, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.elements import conv

from db.models import NAMING


class Base(DeclarativeBase):
    """Maps Python's types to the seed's."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: TIMESTAMP(timezone=False),
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
        str: Text(),
    }


NOW = text("timezone('UTC', CURRENT_TIMESTAMP)")
NOT_STARTED = text("'not_started'")
TRUE = text("true")
EMPTY_LIST = text("'[]'")


class Created:
    """The seed's columns of every table."""

    created_at: Mapped[datetime | None] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime | None] = mapped_column(server_default=NOW)


class WithId(Created):
    """And a random id."""

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))


class User(WithId, Base):
    """Who logs in; the tenant (RIQ-04, RIQ-17)."""

    __tablename__ = "users"
    __table_args__ = (Index("idx_users_email_lower", text("lower(email)")),)

    email: Mapped[str] = mapped_column(String(255), unique=True)
    hashed_password: Mapped[str] = mapped_column(String(255))
    is_active: Mapped[bool | None] = mapped_column(server_default=TRUE)
    is_superuser: Mapped[bool | None] = mapped_column(server_default=text("false"))


class BusinessProfile(WithId, Base):
    """A company and what compliance depends on (RIQ-05)."""

    __tablename__ = "business_profiles"
    __table_args__ = (
        CheckConstraint("employee_count > 0", name=conv("chk_employee_count_positive")),
        CheckConstraint("data_sensitivity IN ('Low', 'Medium', 'High', 'Critical')", name=conv("chk_data_sensitivity")),
        Index("idx_business_profiles_user_id", "user_id"),
    )

    user_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    company_name: Mapped[str] = mapped_column(String(255))
    industry: Mapped[str | None] = mapped_column(String(100))
    employee_count: Mapped[int | None]
    handles_personal_data: Mapped[bool | None]
    processes_payments: Mapped[bool | None]
    stores_health_data: Mapped[bool | None]
    provides_financial_services: Mapped[bool | None]
    operates_critical_infrastructure: Mapped[bool | None]
    has_international_operations: Mapped[bool | None]
    data_sensitivity: Mapped[str | None] = mapped_column(String(20), server_default=text("'Medium'"))


class ComplianceFramework(Created, Base):
    """A regulation or standard; its id is a short word, as framework_id elsewhere (X-33)."""

    __tablename__ = "compliance_frameworks"

    id: Mapped[str] = mapped_column(String(50), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None]
    is_active: Mapped[bool] = mapped_column(server_default=TRUE)


class ImplementationPlan(WithId, Base):
    """How a framework is introduced (RIQ-09)."""

    __tablename__ = "implementation_plans"
    __table_args__ = (Index("idx_implementation_plans_framework_id", "framework_id"),)

    framework_id: Mapped[str] = mapped_column(String(50), ForeignKey(ComplianceFramework.id, ondelete="CASCADE"))
    plan_name: Mapped[str] = mapped_column(String(255))
    steps: Mapped[list[Any]] = mapped_column(server_default=EMPTY_LIST)


class ReadinessAssessment(WithId, Base):
    """By what a framework's readiness is judged (RIQ-09)."""

    __tablename__ = "readiness_assessments"
    __table_args__ = (Index("idx_readiness_assessments_framework_id", "framework_id"),)

    framework_id: Mapped[str] = mapped_column(String(50), ForeignKey(ComplianceFramework.id, ondelete="CASCADE"))
    assessment_name: Mapped[str] = mapped_column(String(255))
    criteria: Mapped[list[Any]] = mapped_column(server_default=EMPTY_LIST)


class AssessmentSession(WithId, Base):
    """An assessment of a company against a framework (RIQ-06)."""

    __tablename__ = "assessment_sessions"
    __table_args__ = (
        Index("idx_assessment_sessions_user_id", "user_id"),
        Index("idx_assessment_sessions_user_updated", "user_id", text("updated_at DESC")),
        Index("idx_assessment_sessions_business_profile_id", "business_profile_id"),
        Index("idx_assessment_sessions_framework_id", "framework_id"),
    )

    user_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    business_profile_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(BusinessProfile.id, name="fk_assessment_business_profile", ondelete="CASCADE")
    )
    framework_id: Mapped[str] = mapped_column(
        String(50), ForeignKey(ComplianceFramework.id, name="fk_assessment_framework", ondelete="RESTRICT")
    )
    session_name: Mapped[str | None] = mapped_column(String(255))
    status: Mapped[str | None] = mapped_column(String(20), server_default=NOT_STARTED)
    questions_answered: Mapped[dict[str, Any] | None]
    progress_percentage: Mapped[Decimal | None] = mapped_column(Numeric(5, 2), server_default=text("0.0"))


class EvidenceItem(WithId, Base):
    """A piece of evidence; the file itself is elsewhere, at file_path (RIQ-01, RIQ-07, RIQ-29)."""

    __tablename__ = "evidence_items"
    __table_args__ = (
        CheckConstraint(
            "status IN ('not_started', 'in_progress', 'collected', 'approved', 'rejected')",
            name=conv("chk_evidence_status"),
        ),
        CheckConstraint(
            "(status = 'approved' AND approved_at IS NOT NULL AND approved_by IS NOT NULL) OR (status != 'approved')",
            name=conv("chk_approval_workflow"),
        ),
        Index("idx_evidence_user_framework", "user_id", "framework_id"),
        Index("idx_evidence_user_status", "user_id", "status"),
        Index(
            "idx_evidence_name_search",
            "evidence_name",
            postgresql_using="gin",
            postgresql_ops={"evidence_name": "gin_trgm_ops"},
        ),
        Index("idx_evidence_ai_metadata_gin", "ai_metadata", postgresql_using="gin"),
        Index("idx_evidence_user_created", "user_id", text("created_at DESC")),
        Index("idx_evidence_business_profile_id", "business_profile_id"),
        Index("idx_evidence_framework_id", "framework_id"),
        Index("idx_evidence_approved_by", "approved_by"),
    )

    user_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    business_profile_id: Mapped[UUID | None] = mapped_column(ForeignKey(BusinessProfile.id, ondelete="CASCADE"))
    framework_id: Mapped[str | None] = mapped_column(
        String(50), ForeignKey(ComplianceFramework.id, name="fk_evidence_framework", ondelete="RESTRICT")
    )
    evidence_name: Mapped[str] = mapped_column(String(255))
    control_reference: Mapped[str | None] = mapped_column(String(100))
    file_path: Mapped[str | None] = mapped_column(String(500))
    file_type: Mapped[str | None] = mapped_column(String(50))
    file_size: Mapped[int | None]
    status: Mapped[str | None] = mapped_column(String(20), server_default=NOT_STARTED)
    priority: Mapped[str | None] = mapped_column(String(10), server_default=text("'medium'"))
    ai_metadata: Mapped[dict[str, Any] | None]
    approved_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    approved_by: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, deferrable=True, initially="DEFERRED"))


class GeneratedPolicy(WithId, Base):
    """A compliance document made for a company (RIQ-08)."""

    __tablename__ = "generated_policies"
    __table_args__ = (
        Index("idx_generated_policies_user_id", "user_id"),
        Index("idx_generated_policies_business_profile_id", "business_profile_id"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    business_profile_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(BusinessProfile.id, name="fk_generated_policy_business_profile", ondelete="CASCADE")
    )
    policy_name: Mapped[str] = mapped_column(String(255))
    content: Mapped[str | None]


class ChatConversation(WithId, Base):
    """A user's talk with the assistant (RIQ-09)."""

    __tablename__ = "chat_conversations"
    __table_args__ = (Index("idx_chat_conversations_user_id", "user_id"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    title: Mapped[str | None] = mapped_column(String(255))
    messages: Mapped[list[Any]] = mapped_column(server_default=EMPTY_LIST)


class IntegrationConfiguration(WithId, Base):
    """A third party's system that evidence comes from; its credentials are elsewhere (RIQ-09)."""

    __tablename__ = "integration_configurations"
    __table_args__ = (Index("idx_integration_configurations_user_id", "user_id"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    provider: Mapped[str] = mapped_column(String(50))
    settings: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    is_active: Mapped[bool] = mapped_column(server_default=TRUE)


class ReportSchedule(WithId, Base):
    """A report that is made again and again (RIQ-09)."""

    __tablename__ = "report_schedules"
    __table_args__ = (Index("idx_report_schedules_user_id", "user_id"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    report_name: Mapped[str] = mapped_column(String(255))
    frequency: Mapped[str] = mapped_column(String(20), server_default=text("'monthly'"))
    next_run_at: Mapped[datetime | None]
    is_active: Mapped[bool] = mapped_column(server_default=TRUE)
