"""A new revision of a product's history: what it is called, and where it goes (BAC-30)."""

from __future__ import annotations

import re
import unicodedata

from alembic import command

from db import migrate
from environment.products import Product


def write(product: Product, url: str, text: str) -> str:
    """Write the difference between the models and the database at ``url``, which is at head; the id of the revision."""
    made = migrate.next_id(product, slug(text))
    command.revision(migrate.config(product, url), message=text, autogenerate=True, rev_id=made)
    return made


def slug(text: str) -> str:
    """The text's letters and digits in lower snake case, without accents; empty when it has none of them."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return "_".join(re.findall(r"[a-z0-9]+", plain))
