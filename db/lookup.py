"""PgBouncer's way to a user's verifier (PLAT-22): a function in the database `postgres`, which only `keel_pgbouncer` may call.

It shows the logins of products that come through the pooler, and no role that sees all rows (PLAT-21, W4).
"""

from collections.abc import Iterable
from pathlib import Path

from db.definer import Definer
from environment.names import LOOKUP, PGBOUNCER
from environment.products import Product

_BODY = Path(__file__).with_name("user_lookup.sql").read_text()
_DECLARED = "(wanted text, OUT username text, OUT password text) RETURNS SETOF record LANGUAGE sql STABLE"


def function(products: Iterable[Product]) -> Definer:
    """The function for these products; a name holds nothing that a literal would have to escape."""
    names = sorted(role for product in products for role in product.pooled_roles)
    body = _BODY.format(roles=", ".join(f"'{name}'" for name in names) or "null")
    return Definer(LOOKUP, "text", _DECLARED, body, PGBOUNCER)
