"""What a product's database consists of, line by line, and the record of what it should (PLAT-13, PLAT-14).

`db/<name>/catalogue.txt` is that record: tables, columns, constraints, indexes, policies, functions, grants. It is
written by `make catalogue` from a new database at head and read by people, the verification and `./keel db check`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

_QUERY = (Path(__file__).parent / "catalogue.sql").read_bytes()
_BUILT_IN_FROM_18 = frozenset({"function uuidv7()", "grant uuidv7().PUBLIC"})
"""Keel's own before PostgreSQL 18 (Q-30)."""

Catalogue = Mapping[str, str]
"""Key, such as `column users.email`, to definition."""


def canonical(definition: str) -> str:
    """A definition in one form: a list of allowed values that came through a dump is printed with a cast at each of
    them instead of one at the list, and means the same."""
    single = re.sub(r"\(('(?:[^']|'')*'::character varying)\)::text", r"\1", definition)
    return re.sub(r"\((ARRAY\[[^]]*\])\)::text\[\]", r"\1", single)


def read(connection: "psycopg.Connection[Any]") -> dict[str, str]:
    """What the database holds; needs no right but to read the catalogue. Changes nothing.

    Every name in the query is one of `pg_catalog`, whatever an owner has put into `public` (W0): the cursor's query is resolved
    where it is declared. What it then prints is printed as seen from `public`.
    """
    with connection.transaction():
        connection.execute(b"set local search_path = pg_catalog")
        connection.execute(b"declare keel_catalogue no scroll cursor for " + _QUERY)
        connection.execute(b"set local search_path = public")
        found = connection.execute(b"fetch all from keel_catalogue").fetchall()
        connection.execute(b"close keel_catalogue")
    return {key: " ".join(definition.split()) for key, definition in found if key not in _BUILT_IN_FROM_18}


def recorded(file: Path) -> dict[str, str]:
    """What it should hold at head, by its record."""
    return parse(file.read_text())


def parse(text: str) -> dict[str, str]:
    """Lines `key: definition`, as `render` writes them."""
    return {key: definition for key, _, definition in (line.partition(": ") for line in text.splitlines())}


def render(catalogue: Catalogue) -> str:
    """One line each, in the order of the keys."""
    return "".join(f"{key}: {definition}\n" for key, definition in sorted(catalogue.items()))


def differences(wanted: Catalogue, found: Catalogue) -> list[str]:
    """A sentence for everything missing, different or extra."""
    missing = [f"missing: {key}: {wanted[key]}" for key in sorted(wanted.keys() - found.keys())]
    different = [
        f"different: {key} is {found[key] or 'plain'}, should be {wanted[key] or 'plain'}"
        for key in sorted(wanted.keys() & found.keys())
        if canonical(wanted[key]) != canonical(found[key])
    ]
    return missing + different + [f"extra: {key}: {found[key]}" for key in sorted(found.keys() - wanted.keys())]
