"""What a restored database is examined for: recorded schema, row-level security, sound tables and indexes (PLAT-35)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from keel_host import catalogue
from keel_host.config import BackupHost, Product
from keel_host.drill_report import Check
from keel_host.revision import read_revision
from keel_host.scratch_access import READER, reader, superuser


def examine(host: BackupHost, sockets: Path) -> Iterator[Check]:
    """The restored databases by themselves: as recorded in the checkout, closed to strangers, and sound in every table and
    index."""
    with reader(sockets, "postgres") as connection:
        there = [name for (name,) in connection.execute(DATABASES).fetchall()]
    for name, product in host.products.items():
        title = f"schema of {name}"
        if name not in there:
            yield Check(title, [], "its database is younger than the target")
            continue
        with reader(sockets, name) as connection:
            at = read_revision(connection)
            if at == product.head:
                yield Check(title, *schema(connection, product, host.schema / f"{name}.txt"))
                if product.tenants:
                    yield Check(f"row-level security of {name}", *row_level_security(connection, product))
            else:
                yield Check(title, [], f"at revision {at}; the record describes {product.head}: not compared")
    for name in there:
        prepare_amcheck(sockets, name)
    amcheck = ("-h", str(sockets), "-U", READER, "--all", "--heapallindexed")
    found = objections(f"{host.binaries}/pg_amcheck", *amcheck)
    yield Check("pg_amcheck", found, "tables, and indexes against their tables")


DATABASES = "select datname::text from pg_database where datallowconn order by 1"
CHECKS = """
select format('grant execute on function %s to {}', p.oid::regprocedure)
from pg_proc p join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
join pg_extension e on d.refclassid = 'pg_extension'::regclass and e.oid = d.refobjid and e.extname = 'amcheck'
"""


def prepare_amcheck(sockets: Path, database: str) -> None:
    """Let who reads call amcheck's functions, which evaluate what an index is made of as the table's owner. pg_amcheck itself
    would install them, and then check, as superuser."""
    with superuser(sockets, database) as connection:
        connection.execute("create extension if not exists amcheck schema pg_catalog")
        for (statement,) in connection.execute(CHECKS.format(READER)).fetchall():
            connection.execute(statement)


def schema(connection: psycopg.Connection[Any], product: Product, record: Path) -> tuple[list[str], str]:
    """Objections, and what was compared. ``record``: file of the recorded catalogue."""
    wanted, expected = catalogue.recorded(record), set(product.extensions)
    extensions = {name for (name,) in connection.execute("select extname::text from pg_extension").fetchall()} - {
        "plpgsql"
    }
    found = [f"missing: extension {name}" for name in sorted(expected - extensions)]
    found += [f"extra: extension {name}" for name in sorted(extensions - expected)]
    found += catalogue.differences(wanted, catalogue.read(connection))
    return found, f"{len(wanted)} lines of the recorded catalogue, at revision {product.head}"


ROW_LEVEL_SECURITY = """
select relname::text from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname = any(%s)
  and not (relrowsecurity and relforcerowsecurity and exists (select from pg_policy where polrelid = pg_class.oid))
order by 1
"""


def row_level_security(connection: psycopg.Connection[Any], product: Product) -> tuple[list[str], str]:
    """Tables of users' rows on which it is not enabled and forced, with policies."""
    rows = connection.execute(ROW_LEVEL_SECURITY, [list(product.tenants)]).fetchall()
    return [
        f"{name} is open" for (name,) in rows
    ], f"enabled and forced on {len(product.tenants)} tables of users' rows"


def objections(*command: str) -> list[str]:
    """What a program that checks has to say, empty when it is content."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return (done.stdout.strip().splitlines() or [f"exit status {done.returncode}"]) if done.returncode else []
