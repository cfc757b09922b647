"""W6: what one client leaves in a pooled session reaches no other client."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

from environment.products import Product
from ops.attack.attacker import Attacker
from ops.attack.attempts import Tried, attempt

CLIENTS = 12
"""Other clients that look, one after the other."""
UNKNOWN = {"uuid": str(uuid4()), "integer": "-1"}
IDENTITY = "select coalesce(current_setting('app.current_user_id', true), '')"


@attempt("W6")
def another_clients_identity(attacker: Attacker) -> Iterator[Tried]:
    """An application that forgets LOCAL leaves its user's identity to no other: the next client sees none."""
    for product in (entry.product for entry in attacker.manifest.products.values()):
        if product.identity_type:
            seen = _seen(attacker, product, UNKNOWN[product.identity_type])
            yield Tried(f"{product.app_role} through the pooler", seen > 0, f"{seen} of {CLIENTS} other clients saw it")


def _seen(attacker: Attacker, product: Product, identity: str) -> int:
    """How many others saw the identity of a user who does not exist; it is taken away where it is seen."""
    port = attacker.manifest.ports.pgbouncer
    with attacker.login(product.app_role, product.name, port) as first:
        first.execute("select set_config('app.current_user_id', %s, false)", [identity])
    seen = 0
    for _ in range(CLIENTS):
        with attacker.login(product.app_role, product.name, port) as other, other.transaction():
            if other.execute(IDENTITY).fetchone() == (identity,):
                seen += 1
    _forget(attacker, product, port)
    return seen


def _forget(attacker: Attacker, product: Product, port: int) -> None:
    """Take it out of every session of the pool that one client after the other is given."""
    for _ in range(CLIENTS):
        with attacker.login(product.app_role, product.name, port) as other:
            other.execute("reset app.current_user_id")
