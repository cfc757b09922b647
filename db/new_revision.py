"""A new revision of a product's history: what it is called, and where it goes (BAC-30)."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

from alembic import command

from db import migrate
from db.alembic_options import ID_LENGTH
from environment.products import Product, short


def write(product: Product, url: str, text: str) -> str:
    """Write the difference between the models and the database at ``url``, which is at head; the id of the revision."""
    made = _next(product, slug(text))
    command.revision(migrate.config(product, url), message=text, autogenerate=True, rev_id=made)
    return made


def slug(text: str) -> str:
    """The text's letters and digits in lower snake case, without accents; empty when it has none of them."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return "_".join(re.findall(r"[a-z0-9]+", plain))


def _next(product: Product, words: str) -> str:
    """The id of the next revision: a number, or the time where its document says so, and what it does (X-14)."""
    if product.revision_ids == "timestamp":
        front = datetime.now(UTC).strftime("%Y%m%d_%H%M")
    else:
        front = f"{int(short(migrate.head(product))) + 1:03}"
    return f"{front}_{words}"[:ID_LENGTH].rstrip("_")
