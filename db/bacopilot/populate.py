"""BA Copilot's rows for performance tests. Its document gives no estimates: many users, each with a little of each.

Everything grows older with its number, by equal steps over a year; a few users and conversations have most.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from db.populate import EPOCH, Rows, Size, key, text

USERS = 10_000
OF_USERS = 100_000
"""Documents, versions, wireframes, conversations and diagrams, each."""
MESSAGES = 1_000_000

KEPT = 4
"""Superseded versions of a document that has any."""

YEAR = timedelta(days=365)
ROLES = ("user", "assistant")
DOMAINS = ("banking", "health", "mobility", "retail", "education")
STATUSES = ("draft", "draft", "review", "approved")
TEMPLATES = ("dashboard", "form", "landing", "list", None)
DIAGRAMS = ("sequence", "architecture", "usecase", "flowchart")


def rows(size: Size) -> list[Rows]:
    """The tables, parents first."""
    users, owned, messages = size.of(USERS), size.of(OF_USERS), size.of(MESSAGES)
    mine = ("user_id", "metadata", "created_at", "updated_at")
    made = partial(_owned, users=users, count=owned)
    return [
        Rows(
            "users",
            ("user_id", "email", "password_hash", "full_name", "organization", "preferences", "is_active",
             "created_at", "updated_at"),
            users,
            partial(_user, count=users),
        ),
        Rows(
            "documents",
            ("document_id", *mine, "project_name", "content", "status", "version"),
            owned,
            lambda number, chance: (
                key("documents", number), *made(number, chance), text(chance, 3), text(chance, 120),
                chance.choice(STATUSES), 1 + min(KEPT, max(0, owned - number * KEPT)),
            ),
        ),
        Rows(
            "document_versions",
            ("version_id", "document_id", "version", "content", "created_at"),
            owned,
            partial(_version, count=owned),
        ),
        Rows(
            "wireframes",
            ("wireframe_id", *mine, "title", "html_content", "css_styles", "template_type"),
            owned,
            lambda number, chance: (
                key("wireframes", number), *made(number, chance), text(chance, 3),
                f"<main><h1>{text(chance, 3)}</h1><p>{text(chance, 60)}</p></main>",
                f"main {{ max-width: {chance.randrange(40, 90)}rem }}", chance.choice(TEMPLATES),
            ),
        ),
        Rows(
            "conversations",
            ("conversation_id", *mine, "title"),
            owned,
            lambda number, chance: (key("conversations", number), *made(number, chance), text(chance, 4)),
        ),
        Rows(
            "messages",
            ("message_id", "conversation_id", "role", "content", "metadata", "token_count", "timestamp", "updated_at"),
            messages,
            partial(_message, conversations=owned, count=messages),
        ),
        Rows(
            "diagrams",
            ("diagram_id", *mine, "title", "diagram_type", "mermaid_code"),
            owned,
            lambda number, chance: (
                key("diagrams", number), *made(number, chance), text(chance, 3), chance.choice(DIAGRAMS),
                "flowchart LR\n  " + text(chance, 12).replace(" ", " --> "),
            ),
        ),
    ]  # fmt: skip


def _user(number: int, chance: Random, *, count: int) -> Sequence[Any]:
    created = _at(number, count)
    first, last = text(chance, 2).title().split()
    return (
        key("users", number), f"user{number}@keel.invalid", "!", f"{first} {last}",
        f"{last} Ltd" if chance.random() < 0.6 else None, json.dumps({"theme": chance.choice(("dark", "light"))}),
        chance.random() < 0.95, created, created,
    )  # fmt: skip


def _owned(number: int, chance: Random, *, users: int, count: int) -> Sequence[Any]:
    """Owner, metadata, and both moments of what belongs to a user."""
    created = _at(number, count)
    metadata = json.dumps({"domain": chance.choice(DOMAINS), "reviewer": f"user{chance.randrange(users)}"})
    return key("users", _few(users, chance)), metadata, created, created + timedelta(hours=chance.randrange(48))


def _version(number: int, chance: Random, *, count: int) -> Sequence[Any]:
    """The first documents have all the versions, KEPT each; one hour apart."""
    document, older = divmod(number, KEPT)
    replaced = _at(document, count) + timedelta(hours=older + 1)
    return key("document_versions", number), key("documents", document), older + 1, text(chance, 120), replaced


def _message(number: int, chance: Random, *, conversations: int, count: int) -> Sequence[Any]:
    """Messages of one conversation follow each other from its begin."""
    conversation = _few(conversations, chance)
    begin = _at(conversation, conversations)
    said = begin + (EPOCH - begin) * number / count
    role = ROLES[number % 2] if chance.random() < 0.98 else "system"
    words = chance.randrange(5, 60)
    metadata = json.dumps({"model": chance.choice(("large", "small"))}) if role == "assistant" else "{}"
    return (
        key("messages", number), key("conversations", conversation), role, text(chance, words), metadata,
        words * 4 // 3, said, said,
    )  # fmt: skip


def _few(count: int, chance: Random) -> int:
    """One of so many, the first of them far more often than the last."""
    return int(count * chance.random() ** 2)


def _at(number: int, count: int) -> datetime:
    """When the row of this number came: steps of equal length, over the year before EPOCH."""
    return EPOCH - YEAR + YEAR * number / count
