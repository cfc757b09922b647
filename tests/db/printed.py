"""The SQL that `alembic upgrade head --sql` prints, statement by statement."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from alembic import command

from db import migrate
from environment.products import Product

_SECTION = re.compile(r"^-- Running (?:up|down)grade (\S*) -> (\S*)\s*$", re.MULTILINE)
_REPEATABLE = "SET LOCAL row_security = on"
"""With this the part begins that is no revision's, see migrations/env.py."""
_TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\$(?P<tag>\w*)\$(?P<body>.*?)\$(?P=tag)\$|(?P<end>;|\Z)", re.DOTALL
)


@dataclass(frozen=True)
class Statement:
    """One statement, as printed (`raw`), and made even for patterns.

    `text` is in small letters with single blanks, without comments, contents of literals, quotes and the schema.
    """

    text: str
    raw: str
    transaction: str | None
    """Name of the transaction it is in; None outside."""


def upgrades(product: Product) -> dict[str, list[Statement]]:
    """Revision → the statements of its upgrade, the first revision first."""
    sql = _printed(product, "upgrade", "head").split(_REPEATABLE)[0]
    return {above: list(statements(above, text)) for _, above, text in _sections(sql)}


def downgrades(product: Product) -> dict[str, list[Statement]]:
    """Revision → the statements of its downgrade, the newest first."""
    sql = _printed(product, "downgrade", f"{migrate.head(product)}:base")
    return {above: list(statements(above, text)) for above, _, text in _sections(sql)}


def statements(revision: str, sql: str) -> Iterator[Statement]:
    """A revision's statements; it begins in a transaction. The body of a DO block counts as statements of its own.

    Left out: BEGIN, COMMIT, and what Alembic does to its version table.
    """
    number, inside = 0, True
    for text, raw, body in _split(sql):
        if text in ("begin", "commit"):
            inside = text == "begin"
            number += inside
        elif "alembic_version" not in text:
            transaction = f"{revision}, {number}" if inside else None
            yield Statement(text, raw, transaction)
            if text.startswith("do "):
                yield from (Statement(inner, inner_raw, transaction) for inner, inner_raw, _ in _split(body))


def _printed(product: Product, direction: str, revisions: str) -> str:
    config = migrate.config(product)
    config.output_buffer = buffer = io.StringIO()
    getattr(command, direction)(config, revisions, sql=True)
    return buffer.getvalue()


def _sections(sql: str) -> Iterator[tuple[str, str, str]]:
    """From, to, text of each step."""
    parts = _SECTION.split(sql)[1:]
    return zip(parts[::3], parts[1::3], parts[2::3], strict=True)


def _split(sql: str) -> Iterator[tuple[str, str, str]]:
    """Made even, as printed, and the dollar-quoted body of each statement."""
    text, raw, body, at = "", "", "", 0
    for token in _TOKEN.finditer(sql):
        between, at = sql[at : token.start()], token.end()
        text, raw = text + between, raw + between
        if token["end"] is not None:
            if text.strip():
                yield _even(text), raw.strip(), body
            text, raw, body = "", "", ""
        elif token.group()[0] in "'$":
            text, raw, body = f"{text} '' ", raw + token.group(), token["body"] or body


def _even(text: str) -> str:
    return re.sub(r'\bpublic\.|"', "", " ".join(text.lower().split()))
