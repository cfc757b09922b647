"""A masked copy against the classification: every product with its demo rows, and markers planted in every
personal column, of which none may be found in a dump (JEEX-35, ADA-22)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import sql

from db import masking, migrate, repeatable
from environment.products import Product
from keel_host import catalogue
from tools.scratch_server import SUPERUSER_PASSWORD, Server

PLANTED = 5
"""Rows of each table that get a marker in every personal column."""
STRUCTURED = ("json", "jsonb")

FOUND = """
select c.conname, pg_get_constraintdef(c.oid) from pg_constraint c
where not convalidated and connamespace = 'public'::regnamespace
"""
KEY = """
select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
where i.indisprimary and i.indrelid = format('public.%%I', %s::text)::regclass order by a.attnum
"""
OTHERS = """
select md5(string_agg(md5((to_jsonb(t) - %s::text[])::text), '' order by md5((to_jsonb(t) - %s::text[])::text)))
from {} t
"""

Rows = dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]


def personal(product: Product) -> dict[str, tuple[str, ...]]:
    """Table → its personal columns."""
    return {name: facts.pii for name, facts in product.tables.items() if facts.pii}


def read(server: Server, product: Product) -> Rows:
    """Table → key → the personal values, as text."""
    found: Rows = {}
    with server.connect(product.name) as connection:
        for table, columns in personal(product).items():
            key = [name for (name,) in connection.execute(KEY.encode(), [table]).fetchall()]
            listed = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in (*key, *columns))
            rows = connection.execute(sql.SQL("select {} from {}").format(listed, sql.Identifier(table))).fetchall()
            found[table] = {row[: len(key)]: row[len(key) :] for row in rows}
    return found


def others(server: Server, product: Product) -> dict[str, Any]:
    """Table → number of rows and a digest of everything that is not personal, updated_at too."""
    found = {}
    with server.connect(product.name) as connection:
        for table, facts in product.tables.items():
            names = list(facts.pii)
            row = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone()
            digest = connection.execute(sql.SQL(OTHERS).format(sql.Identifier(table)), [names, names]).fetchone()
            found[table] = (row, digest)
    return found


def plant(server: Server, product: Product) -> list[str]:
    """Put a marker into every personal column of some rows, and where copies of them may lie; the markers."""
    markers = []
    with server.connect(product.name) as connection:
        connection.execute("set session_replication_role = replica")
        for column in masking.read(connection):
            if column.name not in personal(product).get(column.table, ()) or column.type.startswith("timestamp"):
                continue
            table = sql.Identifier(column.table)
            for (row,) in connection.execute(
                sql.SQL("select ctid::text from {} order by ctid limit %s").format(table), [PLANTED]
            ).fetchall():
                marker = f"marker{secrets.token_hex(6)}"
                markers.append(marker)
                value = marker
                if column.type in STRUCTURED:
                    value = json.dumps({f"{marker}@key.test": 1, "inner": [{"a": [f"x {marker} y", 17.5, None, True]}]})
                elif "email" in column.name:
                    value = f"{marker}@real.example"
                update = sql.SQL("update {} set {} = %s where ctid = %s::tid").format(
                    table, sql.Identifier(column.name)
                )
                connection.execute(update, [value, row])
        for name in ("restored.users_20261122", "public.scratch_of_somebody", "alembic.cleaned_by_999"):
            marker = f"marker{secrets.token_hex(6)}"
            markers.append(marker)
            connection.execute("create schema if not exists restored")
            connection.execute(f"create table {name} as select '{marker}'::text as original".encode())
    return markers


@pytest.fixture(scope="module")
def copy(server: Server, product: Product, at_head: str) -> Iterator[tuple[list[str], Rows, dict[str, Any]]]:
    """A database with markers, masked: the markers, the personal values before, everything else before."""
    migrate.seed(product, at_head, "demo", production=False)
    markers = plant(server, product)
    before, rest = read(server, product), others(server, product)
    assert all(before.values()), "every table with personal data has rows"
    dump = dumped(server, product)
    assert [marker for marker in markers if marker not in dump] == [], "the test itself finds markers"
    masking.mask(server.superuser, product, secrets.token_hex(32), lambda _: None)
    yield markers, before, rest
    server.execute(f"drop database {product.name} with (force)")


def dumped(server: Server, product: Product) -> str:
    """The plain dump, as clone makes it."""
    with server.connect() as connection:
        options = masking.dump_options(connection.info.server_version // 10_000)
    done = server.run(*as_superuser("pg_dump"), *options, product.name)
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_superuser(program: str) -> tuple[str, ...]:
    """The start of a client program's command line in the server's container."""
    return ("env", f"PGPASSWORD={SUPERUSER_PASSWORD}", program, "-h", "127.0.0.1", "-U", "postgres")


def empty_shape(text: str) -> bool:
    """True for JSON without any text or number: nothing in it could become something else."""

    def leaves(value: Any) -> Iterator[Any]:
        if isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from leaves(inner)
        else:
            yield value

    try:
        return all(leaf is None or isinstance(leaf, bool) for leaf in leaves(json.loads(text)))
    except json.JSONDecodeError:
        return False


def test_every_personal_value_changes(
    server: Server, product: Product, copy: tuple[list[str], Rows, dict[str, Any]]
) -> None:
    """JEEX-35: in every row and column; NULL stays NULL, equal values stay equal and different ones different."""
    _, before, _ = copy
    after = read(server, product)
    assert {table: set(rows) for table, rows in after.items()} == {table: set(rows) for table, rows in before.items()}
    for table, columns in personal(product).items():
        for position, name in enumerate(columns):
            pairs = {(before[table][key][position], after[table][key][position]) for key in before[table]}
            same = [old for old, new in pairs if old == new and old is not None and not empty_shape(old)]
            assert not same, f"{table}.{name}: {same[:3]}"
            assert all((old is None) == (new is None) for old, new in pairs), f"{table}.{name}"
            assert len({old for old, _ in pairs}) == len(pairs), f"{table}.{name}: equal values differ"
            if name == "email" or "password" in name:
                assert len({new for _, new in pairs}) == len(pairs), f"{table}.{name}: different values meet"
                assert all(new.endswith("@example.invalid") if name == "email" else new[0] == "!" for _, new in pairs)


def test_nothing_else_changes(server: Server, product: Product, copy: tuple[list[str], Rows, dict[str, Any]]) -> None:
    """JEEX-35: no row more or less, no trigger touched updated_at or kept a version."""
    _, _, rest = copy
    assert others(server, product) == rest


def test_no_original_is_in_a_dump(
    server: Server, product: Product, copy: tuple[list[str], Rows, dict[str, Any]]
) -> None:
    """JEEX-35, ADA-22: nor a revision's originals, a restored table, or one that nobody declared."""
    markers, _, _ = copy
    dump = dumped(server, product)
    assert [marker for marker in markers if marker in dump] == []
    assert "marker" not in dump


def test_keys_and_constraints_hold(
    server: Server, product: Product, copy: tuple[list[str], Rows, dict[str, Any]]
) -> None:
    """JEEX-35: a restore of the copy checks every CHECK, key, foreign key and unique index anew."""
    server.execute("drop database if exists masked_again with (force)")
    server.execute("create database masked_again template template0")
    script = dumped(server, product)
    again = (*as_superuser("psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-d", "masked_again")
    done = server.run(*again, given=script)
    assert done.returncode == 0, done.stderr
    with server.connect(product.name) as one, server.connect("masked_again") as other:
        assert catalogue.differences(catalogue.read(one), catalogue.read(other)) == []
        applied = [line for line in repeatable.drift_of(other, product) if "scratch_of_somebody" not in line]
        assert applied == [], "functions, policies and grants are known to be applied"
    assert server.execute(FOUND, "masked_again") == []
    server.execute("drop database masked_again with (force)")
