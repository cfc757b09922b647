"""Databases: which there are, encoding, extensions, migrations, and the schema against the models."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import psycopg

from db import indexes, migrate, release, repeatable
from environment import scratch
from environment.manifest import Manifest, ProductEntry
from environment.products import Product
from environment.products import catalogue as checkout
from environment.server_parameters import text
from keel_host import catalogue
from tests.verify import expect
from tests.verify.databases import Databases

Connection = psycopg.Connection[Any]
Url = Callable[[Product], str]


def test_one_per_product(superuser: Connection, manifest: Manifest) -> None:
    """PLAT-05: each product has a database of its own; apart from them there are the cluster's, parked products', and throwaway copies.

    One that takes no connections was kept aside by a restore until a person drops it."""
    rows = superuser.execute(
        "select datname::text from pg_database where not datistemplate and datallowconn"
    ).fetchall()
    parked = checkout().keys() - manifest.products.keys()  # nobody logs in there: tests/verify/test_roles.py
    copied = checkout() if scratch.offered(manifest) else ()
    found = {name for (name,) in rows if not scratch.belongs(name, copied)} - parked
    expect.exactly(found, ["postgres", *manifest.products], "database")


def test_encoding(superuser: Connection, listed: ProductEntry, manifest: Manifest) -> None:
    """PLAT-02: the database is UTF8, its collate and ctype are the environment's."""
    name, locale = listed.product.name, manifest.postgres.locale
    query = "select pg_encoding_to_char(encoding)::text, datcollate, datctype from pg_database where datname = %s"
    row = superuser.execute(query, [name]).fetchone()
    assert row == ("UTF8", locale, locale), f"{name}: {row}"


def test_settings(superuser: Connection, listed: ProductEntry) -> None:
    """PLAT-03: the database has the parameters that the stack file gives it, is in UTC (X-05), and has no others."""
    query = "select setconfig from pg_db_role_setting join pg_database d on d.oid = setdatabase where datname = %s and setrole = 0"
    row = superuser.execute(query, [listed.product.name]).fetchone()
    found = dict(setting.lower().split("=", 1) for setting in (row[0] if row else []))
    wanted = {name: text(value).lower() for name, value in listed.limits.settings.items()}
    assert found == {"timezone": "utc", **wanted}, f"{listed.product.name}: {found}"


def test_extensions(looker: Databases, listed: ProductEntry) -> None:
    """PLAT-06: exactly the declared extensions are installed, in the version the server brings."""
    name = listed.product.name
    with looker.connect(name) as connection:
        rows = connection.execute(
            "select extname::text, extversion, default_version from pg_extension"
            " join pg_available_extensions on name = extname where extname <> 'plpgsql'"
        ).fetchall()
    expect.exactly([extension for extension, *_ in rows], listed.product.extensions, f"{name}: extension")
    expect.nothing(f"{name}: {extension} is {has}, not {newest}" for extension, has, newest in rows if has != newest)


def test_statistics_work(monitor: Databases, listed: ProductEntry) -> None:
    """PLAT-08: where pg_stat_statements is declared it answers, which it does only when preloaded (Q-08)."""
    if "pg_stat_statements" in listed.product.extensions:
        with monitor.connect(listed.product.name) as connection:
            row = connection.execute("select count(*) > 0 from public.pg_stat_statements(false)").fetchone()
        assert row == (True,), f"{listed.product.name}: pg_stat_statements is empty"


def test_tools() -> None:
    """PLAT-26, JEEX-23: Alembic is 1.13 or later, SQLAlchemy 2.0 or later."""
    found = {name: tuple(int(part) for part in version(name).split(".")[:2]) for name in ("alembic", "sqlalchemy")}
    assert found["alembic"] >= (1, 13) and found["sqlalchemy"] >= (2, 0), str(found)


def test_head(listed: ProductEntry, direct: Url) -> None:
    """PLAT-26: the database is at the one head of its history, or where the stack holds it."""
    wanted = migrate.resolve(listed.product, listed.limits.revision)
    current = migrate.current(listed.product, direct(listed.product))
    assert current == wanted, f"{listed.product.name} is at {current}, it should be at {wanted}"


def test_schema_is_the_models(product: ProductEntry, direct: Url) -> None:
    """PLAT-14, PLAT-29: autogenerate finds no difference; columns, constraints and indexes are the models', and valid."""
    found = migrate.differences(product.product, direct(product.product))
    expect.nothing(f"{product.product.name}: {line}" for line in found)


def test_catalogue(product: ProductEntry, looker: Databases) -> None:
    """PLAT-13, PLAT-14: every table, column, default, constraint, index, policy, function and grant is as recorded."""
    with looker.connect(product.product.name) as connection:
        found = catalogue.differences(catalogue.recorded(product.product.catalogue_file), catalogue.read(connection))
    expect.nothing(f"{product.product.name}: {line}" for line in found)


def test_indexes_are_valid(listed: ProductEntry, monitor: Databases) -> None:
    """PLAT-14: no index is INVALID after a concurrent build that did not end."""
    with monitor.connect(listed.product.name) as connection:  # it sees an index that somebody builds just now
        expect.nothing(f"{listed.product.name}: {line}" for line in indexes.invalid_indexes(connection))


def test_release(listed: ProductEntry, looker: Databases, manifest: Manifest) -> None:
    """RIQ-26: where data is guarded no column has a truncated name."""
    with looker.connect(listed.product.name) as connection:
        found = release.truncated(listed.product, connection)
    expect.nothing(f"{listed.product.name}: {line}" for line in found if manifest.identity.kind.guarded)


def test_functions_policies_grants(product: ProductEntry, direct: Url) -> None:
    """PLAT-16: functions, triggers, policies and grants are those of this checkout, no more and no fewer."""
    found = repeatable.drift(product.product, direct(product.product))
    expect.nothing(f"{product.product.name}: {line}" for line in found)


UNTOUCHED = """
select c.relname::text from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attname = 'updated_at'
  and not exists (select from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled in ('O', 'A')
                  and t.tgtype & 19 = 19)
"""
# tgtype: 1 for each row, 2 before, 16 update.


def test_updated_at(looker: Databases, product: ProductEntry) -> None:
    """PLAT-12: every table with updated_at has a trigger before update that maintains it."""
    with looker.connect(product.product.name) as connection:
        rows = connection.execute(UNTOUCHED).fetchall()
    tables = product.product.tables
    expect.nothing(
        f"{product.product.name}: nothing maintains {table}.updated_at"
        for (table,) in rows
        if table not in tables or not tables[table].archive
    )
