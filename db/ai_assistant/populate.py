"""Records for performance tests: a hundred thousand each, a tenth inactive, a tenth as many archived.

The document has no estimate but that a million records are far away (ADA-16).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from db.populate import EPOCH, WORDS, Rows, Size, moment, text

SEVERITIES = ("CRITICAL", "ERROR", "WARNING", "WARNING", "INFO", "INFO", "INFO")
ENFORCEMENTS = ("mandatory", "recommended", "recommended", "optional")
LANGUAGES = ("python", "python", "python", "typescript", "typescript", "sql", "rust", "cobol")
CATEGORIES = WORDS[:60]


class Life(NamedTuple):
    """When a record was made, changed, switched off; the last is None while it is active."""

    created: datetime
    changed: datetime
    ended: datetime | None


Maker = Callable[[str, Random, Life], tuple[Any, ...]]

RULE = (
    "rule_id", "category", "title", "description", "severity", "enforcement", "examples", "anti_patterns",
    "violations_consequence", "priority", "active", "created_at", "updated_at", "deactivated_at",
)  # fmt: skip
PRACTICE = (
    "practice_id", "category", "title", "description", "benefits", "implementation_guide", "anti_patterns",
    "references", "effectiveness_score", "adoption_rate", "is_required", "is_active", "created_at", "deactivated_at",
)  # fmt: skip
TEMPLATE = (
    "template_id", "name", "description", "category", "template_content", "variables", "tags", "usage_count",
    "is_active", "created_at", "deactivated_at",
)  # fmt: skip


def rule(key: str, chance: Random, life: Life) -> tuple[Any, ...]:
    """Values in the order of RULE."""
    example = f'[{{"language": "{chance.choice(LANGUAGES)}", "pattern": "{text(chance, 2)}"}}]'
    return (
        key, category(chance), text(chance, 4), text(chance, 12), chance.choice(SEVERITIES),
        chance.choice(ENFORCEMENTS), example, f'["{text(chance, 3)}"]', text(chance, 5), chance.randrange(100),
        life.ended is None, _plain(life.created), _plain(life.changed), life.ended,
    )  # fmt: skip


def practice(key: str, chance: Random, life: Life) -> tuple[Any, ...]:
    """Values in the order of PRACTICE."""
    return (
        key, category(chance), text(chance, 4), text(chance, 12), f'["{text(chance, 2)}", "{text(chance, 2)}"]',
        text(chance, 15), f'["{text(chance, 3)}"]', f'[{{"title": "{text(chance, 3)}"}}]',
        chance.randrange(101) / 100, chance.randrange(101) / 100, chance.random() < 0.2,
        life.ended is None, _plain(life.created), life.ended,
    )  # fmt: skip


def template(key: str, chance: Random, life: Life) -> tuple[Any, ...]:
    """Values in the order of TEMPLATE; few are used much."""
    variable, tag = chance.choice(WORDS), chance.choice(LANGUAGES)
    return (
        key, text(chance, 3), text(chance, 8), category(chance), f"{text(chance, 30)} {{{variable}}}",
        f'["{variable}"]', f'["{tag}"]', int(chance.paretovariate(1)) % 100_000,
        life.ended is None, _plain(life.created), life.ended,
    )  # fmt: skip


def category(chance: Random) -> str:
    """Some are much larger than others."""
    return CATEGORIES[min(chance.randrange(60), chance.randrange(60))]


def living(chance: Random) -> Life:
    """A life within the last three years; a tenth are over."""
    created = moment(chance, 3 * 365)
    changed = created + (EPOCH - created) * chance.random()
    return Life(created, changed, changed if chance.random() < 0.1 else None)


def rows(size: Size) -> list[Rows]:
    """All tables but hard_deletes, which only hard_delete() fills."""
    return [
        made
        for table, columns, maker, prefix in (
            ("rules", RULE, rule, "RULE"),
            ("practices", PRACTICE, practice, "PRACTICE"),
            ("templates", TEMPLATE, template, "TEMPLATE"),
        )
        for made in _live_and_archived(table, columns, maker, prefix, size)
    ]


def _live_and_archived(table: str, columns: tuple[str, ...], maker: Maker, prefix: str, size: Size) -> list[Rows]:
    def live(number: int, chance: Random) -> tuple[Any, ...]:
        return maker(f"{prefix}-{number:06}", chance, living(chance))

    def archived(number: int, chance: Random) -> tuple[Any, ...]:
        ended = moment(chance) - timedelta(days=3 * 365)
        life = Life(ended - timedelta(days=100), ended, ended)
        return *maker(f"{prefix}-OLD-{number:06}", chance, life), ended + timedelta(days=2 * 365)

    return [
        Rows(table, columns, size.of(100_000), live),
        Rows(f"{table}_archive", (*columns, "archived_at"), size.of(10_000), archived),
    ]


def _plain(at: datetime) -> datetime:
    """For the document's columns, which have no time zone (X-05)."""
    return at.astimezone(UTC).replace(tzinfo=None)
