"""ruleIQ's rows in number. Its document has no estimates, so these are ours: 10 000 users, 100 000 companies, sessions, policies and
conversations, 1 000 000 pieces of evidence."""

from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID

from db.populate import WORDS, Rows, Size, key, moment, text

FRAMEWORKS = ("gdpr", "iso27001", "soc2", "hipaa", "pci_dss", "nis2", "dora", "cyber_essentials")
"""Those of seeds/reference.sql, which a migrated database has."""
STATUSES = ("not_started",) * 6 + ("in_progress",) * 5 + ("collected",) * 4 + ("approved",) * 4 + ("rejected",)
"""As often as they occur here."""
KINDS = ("pdf", "docx", "xlsx", "png")


def share(number: int, parents: int) -> int:
    """Which parent a row has: most of a few, few of most, and every parent has at least its first row."""
    if number < parents:
        return number
    spread = number * 2_654_435_761 % 1_000_003 / 1_000_003  # scattered evenly, without asking for chance
    return int(spread * spread * parents)


def rows(size: Size) -> list[Rows]:
    """Parents first."""
    users, profiles, evidence = size.of(10_000), size.of(100_000), size.of(1_000_000)

    def owned(number: int) -> tuple[UUID, UUID]:
        """A company and its user."""
        profile = share(number, profiles)
        return key("business_profiles", profile), key("users", share(profile, users))

    def user(number: int, chance: Random) -> Sequence[Any]:
        at = moment(chance)
        return key("users", number), f"user{number}@keel.invalid", "!", number % 50 != 0, at, at

    def profile(number: int, chance: Random) -> Sequence[Any]:
        at = moment(chance)
        return (
            key("business_profiles", number), key("users", share(number, users)), f"Company {number}",
            text(chance, 1), chance.randrange(1, 500), chance.random() < 0.8, chance.random() < 0.4,
            chance.choice(("Low", "Medium", "High", "Critical")), at, at,
        )  # fmt: skip

    def session(number: int, chance: Random) -> Sequence[Any]:
        at = moment(chance)
        company, owner = owned(number)
        return (
            key("assessment_sessions", number), owner, company, chance.choice(FRAMEWORKS), text(chance, 3),
            "in_progress", '{"q1": "yes", "q2": "no"}', chance.randrange(10_000) / 100, at, at,
        )  # fmt: skip

    def item(number: int, chance: Random) -> Sequence[Any]:
        at = moment(chance)
        company, owner = owned(number)
        status = chance.choice(STATUSES)
        approved = (at, owner) if status == "approved" else (None, None)
        return (
            key("evidence_items", number), owner, company, chance.choice(FRAMEWORKS), text(chance, 4),
            f"A.{number % 14}.{number % 9}", f"/evidence/{number}", KINDS[number % 4], number * 7919 % 10_000_000,
            status, "high" if number % 10 == 0 else "medium",
            f'{{"confidence": {number % 100}, "topic": "{chance.choice(WORDS)}"}}', *approved, at, at,
        )  # fmt: skip

    def policy(number: int, chance: Random) -> Sequence[Any]:
        at = moment(chance)
        company, owner = owned(number)
        return key("generated_policies", number), owner, company, text(chance, 2), text(chance, 20), at, at

    def conversation(number: int, chance: Random) -> Sequence[Any]:
        at = moment(chance)
        messages = f'[{{"role": "user", "content": "{text(chance, 12)}"}}]'
        return key("chat_conversations", number), key("users", share(number, users)), text(chance, 3), messages, at, at

    def integration(number: int, chance: Random) -> Sequence[Any]:
        owner = key("users", share(number, users))
        at = moment(chance)
        return key("integration_configurations", number), owner, chance.choice(("github", "jira", "aws")), at, at

    def schedule(number: int, chance: Random) -> Sequence[Any]:
        owner = key("users", share(number, users))
        at = moment(chance)
        return key("report_schedules", number), owner, text(chance, 2), chance.choice(("weekly", "monthly")), at, at

    times = ("created_at", "updated_at")
    owner = ("id", "user_id")
    below = (*owner, "business_profile_id")
    return [
        Rows("users", ("id", "email", "hashed_password", "is_active", *times), users, user),
        Rows(
            "business_profiles",
            (*owner, "company_name", "industry", "employee_count", "handles_personal_data", "processes_payments",
             "data_sensitivity", *times),
            profiles, profile,
        ),
        Rows(
            "assessment_sessions",
            (*below, "framework_id", "session_name", "status", "questions_answered", "progress_percentage", *times),
            size.of(100_000), session,
        ),
        Rows(
            "evidence_items",
            (*below, "framework_id", "evidence_name", "control_reference", "file_path", "file_type", "file_size",
             "status", "priority", "ai_metadata", "approved_at", "approved_by", *times),
            evidence, item,
        ),
        Rows("generated_policies", (*below, "policy_name", "content", *times), size.of(100_000), policy),
        Rows("chat_conversations", (*owner, "title", "messages", *times), size.of(100_000), conversation),
        Rows("integration_configurations", (*owner, "provider", *times), size.of(20_000), integration),
        Rows("report_schedules", (*owner, "report_name", "frequency", *times), size.of(20_000), schedule),
    ]  # fmt: skip
