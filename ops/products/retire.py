"""Retire a product: a last dump that is proven to be whole, then its database and its roles go.

Nothing is dropped before the dump is proven, and everything can be run again: a product without a database is one whose
roles are left.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import IsolationLevel
from psycopg.sql import SQL, Identifier

from db import provision, scratch, undeclared
from db.found import Cluster, read_cluster
from db.spec import MAINTENANCE_DATABASE, Migrated, product_roles
from environment.errors import UNCHANGED, KeelError
from environment.names import BACKUP
from environment.products import Product, catalogue
from environment.report import Report
from environment.types import Model
from keel_host.fingerprint import rows
from keel_host.revision import read_revision
from ops.hosts import lock

if TYPE_CHECKING:
    import psycopg

    from ops.hosts.session import Session, Superuser


class NotRetirable(KeelError):
    """The product cannot be retired now: why, and what to do first."""


class DumpFailed(KeelError):
    """There is no last dump, so nothing was dropped: what went wrong, on which host, what to do."""


class TableSize(NamedTuple):
    """One table, with its indexes and its TOAST."""

    rows: int
    bytes: int


class Survey(NamedTuple):
    """What a database holds, in one snapshot."""

    server_version: str
    revision: str | None
    tables: dict[str, TableSize]
    """By `schema.table`."""


class Record(Model):
    """The record of a dump, `<dump>.json`."""

    environment: str
    product: str
    taken: str
    """UTC, ISO 8601."""
    server_version: str
    revision: str | None
    rows: dict[str, int]
    """Of the same snapshot as the dump."""
    bytes: int
    sha256: str


_TABLES = b"""
select nspname, relname, pg_total_relation_size(c.oid)
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind = 'r' and nspname !~ '^(pg_|information_schema$)'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 1, 2
"""


def retirable(session: Session, superuser: Superuser, name: str) -> tuple[Product, bool]:
    """The product, and whether its database is still there. Raises NotRetirable; changes nothing."""
    environment = session.manifest.identity.name
    if name in session.manifest.products:
        raise NotRetirable(
            f"{name} is a product of {environment}",
            UNCHANGED,
            (
                f"Remove it from stacks/Pulumi.{environment}.yaml, run `make up ENV={environment}`, which parks it, "
                "then retire it"
            ),
        )
    if name not in catalogue():
        raise NotRetirable(
            f"{name} is no product of this checkout; there are {', '.join(catalogue())}",
            UNCHANGED,
            "Keel retires only its own products; whoever created this database has to drop it",
        )
    product, cluster = catalogue()[name], _cluster(superuser)
    there, roles = name in cluster.databases, _roles(product, cluster)
    if not there and not roles:
        raise NotRetirable(f"{environment} has neither a database nor roles of {name}: there is nothing to retire")
    if admitted := [role for role in roles if cluster.roles[role].login]:
        raise NotRetirable(
            f"{', '.join(admitted)} can still log in: {name} is not parked yet",
            UNCHANGED,
            f"Run `make up ENV={environment}`, then retire it",
        )
    return product, there


def survey(superuser: Superuser, product: Product) -> Survey:
    """What the database holds now."""
    with _snapshot(superuser, product) as (connection, _):
        return _survey(connection)


def dump(session: Session, superuser: Superuser, product: Product, target: Path, report: Report) -> Record:
    """Dump the database to `target`, private to its user, and its record next to it. Raises DumpFailed.

    Neither file appears under its name before the dump was read back as a whole and has every table.
    """
    record_path, partial = Path(f"{target}.json"), Path(f"{target}.partial")
    for path in (target, record_path):
        if path.exists():
            raise DumpFailed(
                f"{path} exists and is left as it is", "Nothing was dropped", "Name another file: --dump FILE"
            )
    manifest = session.manifest
    programs = f"/usr/lib/postgresql/{manifest.release.postgres}/bin"
    try:
        with _snapshot(superuser, product) as (connection, snapshot):
            found = _survey(connection)
            report(f"{product.name}: dump to {target}")
            arguments = ["-U", BACKUP, "-p", str(manifest.ports.postgres), "-Fc", f"--snapshot={snapshot}"]
            _on_the_primary(session, [f"{programs}/pg_dump", *arguments, product.name], into=partial)
        report(f"{product.name}: read the dump back, {partial.stat().st_size:,} bytes")
        contents = _on_the_primary(session, [f"{programs}/pg_restore", "--list"], given=partial)
        if missing := [table for table in found.tables if f" TABLE DATA {_listed(table)} " not in contents]:
            raise DumpFailed(
                f"the dump of {product.name} lacks {', '.join(missing)}", "Nothing was dropped", "Run it again"
            )
        # The list is at the head of the file; only reading all of it shows that the rest has come.
        _on_the_primary(session, [f"{programs}/pg_restore", "--file=/dev/null"], given=partial)
        with partial.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        record = Record(
            environment=manifest.identity.name,
            product=product.name,
            taken=datetime.now(UTC).isoformat(timespec="seconds"),
            server_version=found.server_version,
            revision=found.revision,
            rows={table: size.rows for table, size in found.tables.items()},
            bytes=partial.stat().st_size,
            sha256=digest,
        )
        partial.rename(target)
        with _private(record_path) as file:
            file.write((json.dumps(record.model_dump(), indent=2, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise DumpFailed(
            f"the dump cannot be written: {error}", "Nothing was dropped", "Name another file: --dump FILE"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return record


def drop(session: Session, superuser: Superuser, product: Product, report: Report) -> list[str]:
    """Drop the database and the product's roles, with other controllers kept off the primary's host; returns what was left
    and why, one sentence each. Raises Locked."""
    with lock.held(session, [session.leader().name]):
        return _drop(superuser, product, report)


def _drop(superuser: Superuser, product: Product, report: Report) -> list[str]:
    scratch.forget(superuser.connect, product)
    with superuser.connect(MAINTENANCE_DATABASE) as connection:
        connection.autocommit = True
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(product.name)))
    report(f"{product.name}: database dropped")
    cluster = _cluster(superuser)
    known = undeclared.OF_THE_CLUSTER | catalogue().keys()
    changes = [
        change
        for role in _roles(product, cluster)
        for change in undeclared.drop_role(superuser.look, cluster, role, known)
    ]
    done = provision.apply(superuser.connect, changes, prune=True)
    for change in done:
        report(f"{product.name}: {change.what}")
    return [str(change.difference) for change in changes if change not in done]


def default_target(environment: str, product: str) -> Path:
    """A name that no other dump has."""
    return Path(f"{environment}-{product}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump")


def _cluster(superuser: Superuser) -> Cluster:
    with superuser.connect(MAINTENANCE_DATABASE) as connection:
        return read_cluster(connection)


def _roles(product: Product, cluster: Cluster) -> list[str]:
    return [role.name for role in product_roles(product, Migrated.NEVER) if role.name in cluster.roles]


@contextmanager
def _snapshot(superuser: Superuser, product: Product) -> Iterator[tuple[psycopg.Connection[Any], str]]:
    """A session that reads every row of one moment, and the name under which pg_dump sees the same one."""
    with superuser.look(product.name, BACKUP) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        ((name,),) = connection.execute("select pg_export_snapshot()").fetchall()
        yield connection, name


def _survey(connection: psycopg.Connection[Any]) -> Survey:
    ((version,),) = connection.execute("select current_setting('server_version')").fetchall()
    tables = {
        f"{schema}.{name}": TableSize(sum(1 for _ in rows(connection, Identifier(schema, name))), size)
        for schema, name, size in connection.execute(_TABLES).fetchall()
    }
    return Survey(version, read_revision(connection), tables)


def _listed(table: str) -> str:
    """How `pg_restore --list` has it: a line break in a name is a space there."""
    return table.replace(".", " ", 1).replace("\n", " ").replace("\r", " ")


def _on_the_primary(
    session: Session, command: list[str], *, given: Path | None = None, into: Path | None = None
) -> str:
    """Run a program of the server's own release on its host; a dump goes through SSH and is stored on no other disk."""
    host = session.leader().name
    argv = session.ssh(host, shlex.join(command))
    with (
        _private(into) if into else nullcontext(subprocess.PIPE) as out,
        given.open("rb") if given else nullcontext(subprocess.DEVNULL) as source,
    ):
        done = subprocess.run(argv, stdin=source, stdout=out, stderr=subprocess.PIPE)
    if done.returncode:
        program, said = Path(command[0]).name, done.stderr.decode(errors="replace").strip()
        raise DumpFailed(
            f"{program} on {host} ended with status {done.returncode}: {said}",
            "Nothing was dropped",
            "Remove the cause and run it again",
        )
    return (done.stdout or b"").decode(errors="replace")


@contextmanager
def _private(path: Path) -> Iterator[Any]:
    """A file for its user only, on disk when this ends."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
