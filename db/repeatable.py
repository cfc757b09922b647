"""Functions, policies and grants of a product: SQL files that are applied as a whole, in one transaction.

What the catalogue holds afterwards is written down next to the digest of the files (`alembic.repeatable`).
So a later look finds out, without changing or locking anything, whether files or catalogue were changed since.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from db.difference import Difference
from db.url import conninfo
from environment.products import ROOT, Product

FILES = ("functions.sql", "policies.sql", "grants.sql")
"""In this order: a policy may call a function, a grant names both."""

LOCK = int.from_bytes(b"keelrpt", "big")

_RESET = ROOT / "db" / "reset.sql"
_FOUND = (Path(__file__).parent / "repeatable_found.sql").read_text()
_RECORD = """
create table if not exists alembic.repeatable (digest text not null, expected text[] not null);
delete from alembic.repeatable;
set local search_path = pg_catalog;  -- names in definitions are written with or without their schema, depending on it
insert into alembic.repeatable
select '{digest}', coalesce(array_agg(line), '{{}}') from (
{found}) as found where managed;
set local search_path = public;
"""


def script(product: Product) -> str:
    """The SQL that `apply` executes, as the owner and inside a transaction."""
    return "\n".join(path.read_text() for path in (_RESET, *(product.folder / name for name in FILES)))


def record(product: Product) -> str:
    """SQL that writes down what the catalogue holds now; in the same transaction as `script`, after it."""
    return _RECORD.format(digest=_digest(product), found=_FOUND)


def drift(product: Product, url: str) -> list[str]:
    """What differs from the files, one sentence each; changes nothing."""
    return [difference.what for difference in differences(product, url)]


def differences(product: Product, url: str) -> list[Difference]:
    """The same with the SQL that would undo it."""
    with psycopg.connect(conninfo(url)) as connection:
        return differences_of(connection, product)


def apply(product: Product, url: str) -> list[str]:
    """Apply the files when anything differs and return what did.

    Raises psycopg.Error; then nothing was changed.
    """
    with psycopg.connect(conninfo(url)) as connection:
        return apply_in(connection, product)


def apply_in(connection: "psycopg.Connection[Any]", product: Product) -> list[str]:
    """The same in a transaction that is open already."""
    connection.execute(b"select pg_advisory_xact_lock(%s)", [LOCK])
    differs = drift_of(connection, product)
    if not differs:
        return []
    connection.execute(b"set local lock_timeout = '5s'")
    connection.execute(sql.SQL("set local role {}").format(sql.Identifier(product.owner_role)))
    connection.execute(script(product).encode())
    connection.execute(record(product).encode())
    return differs


def drift_of(connection: "psycopg.Connection[Any]", product: Product) -> list[str]:
    """The sentences, on an open session of any role that reads `alembic.repeatable`, such as the monitor's."""
    return [difference.what for difference in differences_of(connection, product)]


def differences_of(connection: "psycopg.Connection[Any]", product: Product) -> list[Difference]:
    """The same with the SQL that would undo what was added or altered by hand; the files bring back what is missing."""
    known = connection.execute(b"select to_regclass('alembic.repeatable') is not null").fetchone()
    recorded = known and known[0] and connection.execute(b"select * from alembic.repeatable").fetchone()
    if not recorded:
        return [Difference("functions, policies and grants were never applied")]
    digest, expected = recorded
    found = {line.text: line for line in _lines(connection)}
    changed = (
        [] if digest == _digest(product) else [Difference(f"db/{product.name}/*.sql changed since they were applied")]
    )
    missing = sorted(set(expected) - found.keys())
    return [
        *changed,
        *(Difference(f"missing: {text}") for text in missing),
        *(
            Difference(f"not declared: {text}", _undo(found[text], missing), stays=not found[text].managed)
            for text in sorted(found.keys() - set(expected))
        ),
    ]


class _Line(NamedTuple):
    """A row of repeatable_found.sql, which says what each column is."""

    text: str
    managed: bool
    undo: str
    repair: str


def _undo(line: _Line, missing: Sequence[str]) -> str:
    """What takes it away, or brings it back into the state that is `missing`."""
    subject, _, state = line.text.partition(": ")
    wanted = next((text.removeprefix(f"{subject}: ") for text in missing if text.startswith(f"{subject}: ")), None)
    if wanted and subject.startswith("row-level security of "):
        table = sql.Identifier("public", subject.removeprefix("row-level security of ")).as_string()
        actions = (f"{_ROW_SECURITY[word]} ROW LEVEL SECURITY" for word in wanted.split(", "))
        return f"ALTER TABLE {table} {', '.join(actions)}"
    if line.text.removesuffix(MAY_GIVE) in missing:  # the right itself is declared
        return line.undo.replace("REVOKE ", "REVOKE GRANT OPTION FOR ", 1)
    if wanted and line.repair and wanted == f"{state.rpartition(', mode ')[0]}, mode O":
        return line.repair
    return line.undo


MAY_GIVE = ", who may give it"
"""The end of a right with grant option: repeatable_found.sql."""
_ROW_SECURITY = {"enabled": "ENABLE", "disabled": "DISABLE", "forced": "FORCE", "not forced": "NO FORCE"}


def _lines(connection: "psycopg.Connection[Any]") -> list[_Line]:
    # Names in definitions are written with or without their schema, depending on the search path.
    connection.execute(b"set local search_path = pg_catalog")
    lines = [_Line(*row) for row in connection.execute(_FOUND.encode()).fetchall()]
    connection.execute(b"set local search_path = public")
    return lines


def _digest(product: Product) -> str:
    return hashlib.sha256(script(product).encode()).hexdigest()
