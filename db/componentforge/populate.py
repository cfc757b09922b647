"""Rows for performance tests; `large` is the upper estimate of seed 003, Tables Summary (CF-26)."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from db.populate import EPOCH, Rows, Size, text

FIRST = 1001
"""Id of the first row of each table: reference rows and a few made by hand come before it."""

YEAR = timedelta(days=365)
HASH = "$2b$12$" + "." * 53
"""In the form of bcrypt and the hash of nothing: no one can log in as a populated user (CF-30)."""

CHAT, VECTORS = "gpt-4", "text-embedding-3-small"
COMPONENTS = ("Button", "Card", "Input", "Modal", "Table", "Tabs", "Badge", "Select")

SPREAD = (0, 3, 5, 8, 9, 10, 12, 14, 17, 22)
"""Chunks of ten documents, messages of ten conversations, again and again: ten on average (CF-26: 1M of 100K)."""
CHILDREN = tuple((parent, index) for parent, count in enumerate(SPREAD) for index in range(count))
"""The same the other way round: whose the next hundred children are, and the how manieth each is."""


def rows(size: Size) -> list[Rows]:
    """Parents first. Ids grow with time, as those of a sequence do."""
    users, exports = size.of(10_000), size.of(100_000)
    documents, conversations = size.of(100_000), size.of(100_000)
    models, runs = size.of(100), size.of(10_000)

    def at(number: int, count: int) -> datetime:
        return EPOCH - YEAR + number / count * YEAR

    def user(number: int, chance: Random) -> Sequence[Any]:
        preferences = f'{{"theme": "dark", "defaultModel": "{CHAT}"}}' if chance.random() < 0.4 else "{}"
        joined = at(number, users)
        seen = joined + chance.random() * (EPOCH - joined)
        active, admin = chance.random() < 0.95, number < 3
        name = f"user{number}"
        return FIRST + number, f"{name}@keel.invalid", name, HASH, active, admin, preferences, seen, joined, seen

    def owner(chance: Random) -> int:
        """The first tenth of all users owns about half of everything."""
        return FIRST + int(users * chance.random() ** 3.3)

    def document(number: int, chance: Random) -> Sequence[Any]:
        user, name, chunks = owner(chance), f"file{number}.pdf", SPREAD[number % len(SPREAD)]
        status = "completed" if chunks else chance.choice(("pending", "processing", "failed"))
        content = text(chance, 40) if chunks else None
        when = at(number, documents)
        return (
            FIRST + number, user, text(chance, 4), name, f"/uploads/{user}/{name}", "application/pdf", status, content,
            VECTORS if chunks else None, chunks, when, when,
        )  # fmt: skip

    def chunk(number: int, chance: Random) -> Sequence[Any]:
        document, index = _parent(number)
        tokens = 512 if index + 1 < SPREAD[document % len(SPREAD)] else chance.randrange(50, 513)  # CF-27
        vector = str(UUID(int=chance.getrandbits(128), version=4))
        when = at(document, documents)
        return FIRST + number, FIRST + document, index, text(chance, 30), vector, VECTORS, tokens, when, when

    def conversation(number: int, chance: Random) -> Sequence[Any]:
        count = SPREAD[number % len(SPREAD)]
        used = sum(sum(_tokens(number, index)) for index in range(1, count, 2))
        status = chance.choices(("active", "archived", "deleted"), (70, 25, 5))[0]
        when = at(number, conversations)
        changed = when + timedelta(minutes=count)
        return FIRST + number, owner(chance), text(chance, 3), CHAT, 0.7, status, count, used, when, changed

    def message(number: int, chance: Random) -> Sequence[Any]:
        conversation, index = _parent(number)
        before = FIRST + number - 1 if index else None
        when = at(conversation, conversations) + timedelta(minutes=index)
        if index % 2 == 0:
            return (FIRST + number, FIRST + conversation, before, "user", text(chance, 12), *(None,) * 4, when, when)
        prompt, completion = _tokens(conversation, index)
        context = f"[{FIRST + chance.randrange(documents)}]"
        return (
            FIRST + number, FIRST + conversation, before, "assistant", text(chance, 40), prompt, completion,
            prompt + completion, context, when, when,
        )  # fmt: skip

    def model(number: int, chance: Random) -> Sequence[Any]:
        size = chance.choice((384, 768, 1536))
        return FIRST + number, f"model-{number}", "openai", size, 8191, False, EPOCH - YEAR, EPOCH - YEAR

    def run(number: int, chance: Random) -> Sequence[Any]:
        status = chance.choices(("completed", "failed", "running", "pending"), (90, 6, 2, 2))[0]
        metrics = json.dumps({"accuracy": round(chance.random(), 3)}) if status == "completed" else None
        when = at(number, runs)
        return FIRST + number, f"run {number}", CHAT, "buttons", '{"test_cases": 50}', status, metrics, when, when

    def export(number: int, chance: Random) -> Sequence[Any]:
        requirements = json.dumps({"props": [{"name": text(chance, 1), "type": "string", "approved": True}]})
        used = chance.random() < 0.6
        latency = int(chance.lognormvariate(8, 0.5))  # milliseconds, about half of them fast (CF-36)
        counts = chance.randrange(1, 8), chance.randrange(3), chance.randrange(2)
        when = at(number, exports)
        component = chance.choice(COMPONENTS)
        return FIRST + number, owner(chance), component, requirements, *counts, latency, used, used, when, when

    return [
        Rows("users", _USER, users, user),
        Rows("embedding_models", _MODEL, models, model),
        Rows("evaluation_runs", _RUN, runs, run),
        Rows("documents", _DOCUMENT, documents, document),
        Rows("document_chunks", _CHUNK, _children(documents), chunk),
        Rows("conversations", _CONVERSATION, conversations, conversation),
        Rows("messages", _MESSAGE, _children(conversations), message),
        Rows("requirement_exports", _EXPORT, exports, export),
    ]


def _children(parents: int) -> int:
    """How many chunks or messages so many parents have."""
    return sum(SPREAD[number % len(SPREAD)] for number in range(parents))


def _parent(child: int) -> tuple[int, int]:
    """Number of a child's parent, and its index there."""
    block, rest = divmod(child, len(CHILDREN))
    parent, index = CHILDREN[rest]
    return block * len(SPREAD) + parent, index


def _tokens(conversation: int, index: int) -> tuple[int, int]:
    """Of prompt and completion; the same when asked for a message and for its conversation's sum."""
    return 200 + conversation * 31 % 1400, 50 + (conversation + index * 97) % 800


def _columns(names: str) -> tuple[str, ...]:
    return (*names.split(), "created_at", "updated_at")


_USER = _columns("id email username hashed_password is_active is_admin preferences last_login_at")
_MODEL = _columns("id name provider dimension max_tokens is_active")
_RUN = _columns("id name model_name dataset_name config status metrics")
_DOCUMENT = _columns(
    "id user_id title filename file_path content_type processing_status extracted_text embedding_model chunk_count"
)
_CHUNK = _columns("id document_id chunk_index content vector_id embedding_model token_count")
_CONVERSATION = _columns("id user_id title model_name temperature status message_count total_tokens_used")
_MESSAGE = _columns(
    "id conversation_id parent_message_id role content prompt_tokens completion_tokens total_tokens context_documents"
)
_EXPORT = _columns(
    "id user_id component_type requirements approved_count edited_count custom_added_count proposal_latency_ms"
    " used_in_pattern_retrieval used_in_code_generation"
)
