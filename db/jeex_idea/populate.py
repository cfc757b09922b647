"""Rows for performance tests. The document has no estimates; large is 10,000 users, 100,000 projects, a million runs."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from db.populate import Rows, Size, key, moment, text

STATUSES = ("draft", "draft", "in_progress", "in_progress", "in_progress", "completed", "archived")
RUN_STATUSES = ("completed", "completed", "completed", "completed", "failed", "pending", "running")
LANGUAGES = ("en", "en", "en", "de", "fr", "uk")
DOCUMENTS = ("idea", "specification", "architecture", "plan")
AGENTS = ("analyst", "architect", "planner", "writer")
GOLDEN = 0.6180339887498949


def rows(size: Size) -> list[Rows]:
    """All tables; a few users own most projects, a few projects most of what belongs to projects."""
    users, projects = size.of(10_000), size.of(100_000)
    versions: Counter[tuple[int, str]] = Counter()

    def owner(project: int) -> UUID:
        return key("users", int(users * (project * GOLDEN % 1) ** 2))

    def some_project(chance: Random) -> int:
        return int(projects * chance.random() ** 2)

    def user(number: int, chance: Random) -> tuple[Any, ...]:
        made = _moment(chance, 730)
        name = f"User {number} {text(chance, 1).title()}"
        return (
            key("users", number), f"user{number}@keel.invalid", name, f'{{"plan": "{chance.choice(("free", "team"))}"}}',
            made, _later(chance, made, 200), _later(chance, made, 30),
        )  # fmt: skip

    def project(number: int, chance: Random) -> tuple[Any, ...]:
        made = _moment(chance, 365)
        return (
            key("projects", number), text(chance, 4), chance.choice(STATUSES), chance.randint(1, 4),
            chance.choice(LANGUAGES), owner(number), made, _later(chance, made, 60),
        )  # fmt: skip

    def document(number: int, chance: Random) -> tuple[Any, ...]:
        of, kind = some_project(chance), chance.choice(DOCUMENTS)
        versions[of, kind] += 1
        writer = owner(of) if chance.random() < 0.4 else None  # else an agent
        return (
            key("document_versions", number), key("projects", of), kind, versions[of, kind], text(chance, 40),
            '{"format": "markdown"}', writer, _moment(chance, 365),
        )  # fmt: skip

    def run(number: int, chance: Random) -> tuple[Any, ...]:
        status, started = chance.choice(RUN_STATUSES), _moment(chance, 365)
        request = number // 4  # four agents work on one, for one project
        of = int(projects * (request * GOLDEN % 1) ** 2)
        ended = status in ("completed", "failed")
        return (
            key("agent_executions", number), key("projects", of), AGENTS[number % 4], key("requests", request),
             f'{{"words": {chance.randrange(500)}}}',
            f'{{"summary": "{text(chance, 5)}"}}' if status == "completed" else None, status,
            text(chance, 6) if status == "failed" else None, started, _later(chance, started, 1) if ended else None,
        )  # fmt: skip

    def export(number: int, chance: Random) -> tuple[Any, ...]:
        status, made = chance.choice(RUN_STATUSES), _moment(chance, 365)
        path = f"/exports/{number}.pdf" if status == "completed" else None
        project = key("projects", some_project(chance))
        return key("exports", number), project, status, path, '{"files": 4}', made, made + timedelta(days=1)

    return [
        Rows("users", ("id", "email", "name", "profile_data", "created_at", "last_login_at", "updated_at"), users, user),
        Rows(
            "projects",
            ("id", "name", "status", "current_step", "language", "created_by", "created_at", "updated_at"),
            projects,
            project,
        ),
        Rows(
            "document_versions",
            ("id", "project_id", "document_type", "version", "content", "metadata", "created_by", "created_at"),
            size.of(400_000),
            document,
        ),
        Rows(
            "agent_executions",
            (
                "id", "project_id", "agent_type", "correlation_id", "input_data", "output_data", "status",
                "error_message", "started_at", "completed_at",
            ),
            size.of(1_000_000),
            run,
        ),
        Rows(
            "exports",
            ("id", "project_id", "status", "file_path", "manifest", "created_at", "expires_at"),
            size.of(100_000),
            export,
        ),
    ]  # fmt: skip


def _moment(chance: Random, days: int) -> datetime:
    """Without a time zone, as the document's columns are (X-05)."""
    return moment(chance, days).astimezone(UTC).replace(tzinfo=None)


def _later(chance: Random, after: datetime, days: int) -> datetime:
    return after + timedelta(seconds=chance.randrange(days * 86_400))
