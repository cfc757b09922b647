"""The matrix of two tenants on a throwaway copy, as a program (`./keel db tenants`).

On standard input: the product, and URLs of its application and, where it has them, of its workers. On standard output: a list
of sentences about what should not be.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable

import psycopg

from db.url import conninfo
from environment.products import Product, catalogue
from tests.rls import matrix
from tests.rls.attempts import Unexpected
from tests.rls.rows import rows
from tests.rls.tenants import Connection, Tenants, tenants

LOOKS = (
    matrix.violations,
    matrix.strangers_rows,
    matrix.handed_over,
    matrix.around,
    matrix.identity_per_row,
    matrix.untouched,
)


def findings(product: Product, application: Connection) -> list[str]:
    """All that the application sees, in the catalogue and with two tenants at work; what it does is rolled back."""
    found = matrix.shell(application, product) + matrix.unknown_tables(application, product, rows(product))
    try:
        with tenants(application, product) as two:
            for look in LOOKS:
                found += _seen(look, two)
    except (psycopg.Error, AssertionError) as error:
        found.append(f"{product.name}: the application cannot work as two tenants: {str(error).strip()}")
    return found


def _seen(look: Callable[[Tenants], Iterable[str]], two: Tenants) -> list[str]:
    """What it finds. Where a wall is gone, a statement may meet what no look expects: that is a finding too."""
    found: list[str] = []
    try:
        with two.connection.transaction(force_rollback=True):
            found.extend(look(two))
    except (psycopg.Error, AssertionError, Unexpected) as error:
        found.append(f"{look.__name__}: unexpected: {str(error).strip()}")
    return found


def main(product: str, application: str, worker: str = "") -> list[str]:
    """Of the product's logins."""
    chosen = catalogue()[product]
    with psycopg.connect(conninfo(application)) as connection:
        found = findings(chosen, connection)
    if worker:
        with psycopg.connect(conninfo(worker)) as connection:
            found += matrix.worker(connection, chosen)
    return found


if __name__ == "__main__":
    print(json.dumps(main(**json.load(sys.stdin))))
