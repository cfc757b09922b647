"""Throwaway copies of a product's database, for test runs: where there are any, and what they are called.

    jeex_idea_scratch_261129140312_3f9ac1    a copy, made at that time (UTC)
    jeex_idea_scratch_at_5d41402abc4b        what copies are made from: the database at head, of files with that digest
    jeex_idea_scratch_making                 that, while it is made

They are reached past the pooler: that has pools for databases which it knows, and one for a copy would outlive it and hold it open.
A name says all that Keel knows of a copy: whose it is and how old. So nothing has to be written down that could be lost.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime

from environment.manifest import Manifest

WORD = "_scratch_"
"""Behind the product's name; no product has it in its own (environment/products.py)."""
LEAST_MAJOR = 16
"""Servers before it know no pattern in pg_hba.conf."""
MAKING = "making"
_TIME = "%y%m%d%H%M%S"
_COPY = re.compile(r"[0-9]{12}_[0-9a-f]{6}")
COPIES = f"{WORD}{_COPY.pattern}$"
"""A pattern for the server: the copies of all products."""
_TEMPLATE = re.compile(r"at_[0-9a-f]{12}")


def offered(manifest: Manifest) -> bool:
    """Whether the environment has copies: not where data is guarded."""
    return not manifest.identity.kind.guarded and manifest.release.postgres >= LEAST_MAJOR


def pattern(product: str) -> str:
    """What pg_hba.conf admits: every name that this module gives, and no other database of any product."""
    return f"/^{product}{WORD}[a-z0-9_]+$"


def fresh(product: str) -> str:
    """The name of a new copy."""
    return f"{product}{WORD}{datetime.now(UTC):{_TIME}}_{secrets.token_hex(3)}"


def template(product: str, digest: str) -> str:
    """What the database is called from which copies are made; ``digest``: at least 12 hexadecimal digits."""
    return f"{product}{WORD}at_{digest[:12]}"


def making(product: str) -> str:
    """What that is called until it is ready."""
    return f"{product}{WORD}{MAKING}"


def is_copy(name: str, product: str) -> bool:
    """Whether a database has the name of a copy of the product."""
    whose, _, rest = name.partition(WORD)
    return whose == product and _COPY.fullmatch(rest) is not None


def is_template(name: str, product: str) -> bool:
    """Whether it has the name of what copies of the product are made from."""
    whose, _, rest = name.partition(WORD)
    return whose == product and (rest == MAKING or _TEMPLATE.fullmatch(rest) is not None)


def belongs(name: str, products: Iterable[str]) -> bool:
    """Whether a database is a copy of one of the products, or made for copies."""
    return any(is_copy(name, product) or is_template(name, product) for product in products)


def made(name: str) -> datetime:
    """When a copy was made."""
    stamp = name.partition(WORD)[2].partition("_")[0]
    return datetime.strptime(stamp, _TIME).replace(tzinfo=UTC)
