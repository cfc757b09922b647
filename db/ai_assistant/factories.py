"""Records for unit tests: complete and valid, with what a test cares about given by name (ADA-21).

>>> rule(severity="CRITICAL").severity
'CRITICAL'
"""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import JSONB

from db.ai_assistant import populate
from db.ai_assistant.models import Base, Practice, Rule, Template


def rule(number: int = 0, **given: Any) -> Rule:
    """A rule, another one for each number and always the same one for the same."""
    return Rule(**_values("rules", populate.RULE, populate.rule, number) | given)


def practice(number: int = 0, **given: Any) -> Practice:
    """A practice, likewise."""
    return Practice(**_values("practices", populate.PRACTICE, populate.practice, number) | given)


def template(number: int = 0, **given: Any) -> Template:
    """A template, likewise."""
    return Template(**_values("templates", populate.TEMPLATE, populate.template, number) | given)


def _values(table: str, columns: Sequence[str], maker: populate.Maker, number: int) -> dict[str, Any]:
    chance = Random(f"{table} {number}")  # noqa: S311  # the same record for the same number
    life = populate.living(chance)._replace(ended=None)
    made = dict(zip(columns, maker(f"{table}-{number}", chance, life), strict=True))
    described: Table = Base.metadata.tables[table]
    return {
        name: json.loads(value) if isinstance(described.columns[name].type, JSONB) else value
        for name, value in made.items()
    }
