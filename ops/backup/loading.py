"""Who loads what was restored: a login that is there for as long as that takes, with the rights of the product's owner.

Loading evaluates what the owner made: checks of domains and tables, generated columns, what indexes call. A superuser evaluates
none of it (W0): it makes the login and an empty database, whose extensions it installs.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from psycopg import sql

from environment.names import RESTORE, SUPERUSER
from environment.products import Product
from environment.report import Report
from keel_host.accounts import SCRATCH, command
from ops.backup.awaited import RestoreFailed
from ops.backup.scratch import ScratchServer
from ops.hosts.session import Session, Superuser

OF_EXTENSIONS = ("EXTENSION ", "COMMENT - EXTENSION ")
LIST = "/run/keel-restore.list"
"""On the primary's host: what pg_restore is to load."""


WAITING = "_restoring"
"""How the name of a database ends that is loaded and has not taken its place."""
HELD = """
select distinct datname::text from pg_shdepend join pg_database d on d.oid = dbid join pg_roles r on r.oid = refobjid
where refclassid = 'pg_authid'::regclass and rolname = %s and datname like '%%' || %s
"""
"""Databases that a run which was killed did not finish to load: the login cannot go before them."""


class Entry(NamedTuple):
    """One object of a dump, as `pg_restore --list` has it."""

    number: str
    what: str
    """Its kind, schema and name."""
    owner: str
    """Empty where the kind has none."""


def statements(superuser: Superuser, *texts: str, database: str = "postgres", **names: str) -> None:
    """Execute statements about the catalogue, each for itself, with these names in them."""
    identifiers = {key: sql.Identifier(value) for key, value in names.items()}
    with superuser.connect(database) as connection:
        connection.autocommit = True
        for text in texts:
            connection.execute(sql.SQL(text).format(**identifiers))


@contextmanager
def login(superuser: Superuser, product: Product) -> Iterator[None]:
    """The login, for one product: it may be those roles that own what is in its database, and sees every row of them."""
    owners = [product.owner_role, *([product.auth_role] if product.auth_role else [])]
    names = {f"owner{number}": owner for number, owner in enumerate(owners)}
    member_of = ", ".join(f"{{{key}}}" for key in names)
    with superuser.connect("postgres") as connection:
        killed = connection.execute(HELD, [RESTORE, WAITING]).fetchall()
    for (database,) in killed:
        statements(superuser, "drop database if exists {left} with (force)", left=database)
    statements(
        superuser,
        "drop role if exists {login}",
        f"create role {{login}} login bypassrls in role {member_of}",
        login=RESTORE,
        **names,
    )
    try:
        yield
    finally:
        statements(superuser, "drop role if exists {login}", login=RESTORE)


def coming(name: str) -> str:
    """The name under which a copy waits."""
    return f"{name}{WAITING}"


def make_room(superuser: Superuser, product: Product, there: str) -> None:
    """An empty database of the product's owner, which no other login enters, with the product's extensions."""
    statements(
        superuser,
        "drop database if exists {there} with (force)",
        "create database {there} owner {owner} template template0",
        "revoke all on database {there} from public",
        there=there,
        owner=product.owner_role,
    )
    for extension in sorted(product.extensions):
        statements(superuser, "create extension {extension} schema public", database=there, extension=extension)


def load(
    session: Session, source: ScratchServer, target: Session, product: Product, there: str, options: Sequence[str],
    report: Report,
) -> None:  # fmt: skip
    """Copy the product's database of a restored server of ``session`` into the empty one ``there`` of ``target``, while the
    login is there; ``options`` are pg_dump's. Raises RestoreFailed."""
    wanted = loadable(contents(session, source, product.name, options), product.name, report)
    leader = target.leader().name
    target.run(leader, f"cat > {LIST}", given="".join(f"{each.number};\n" for each in wanted))
    into = f"pg_restore -U {RESTORE} -d {there} -L {LIST} --exit-on-error"
    pipe(session.ssh(source.host, source.dump(product.name, options)), target.ssh(leader, into))


def pipe(dump: list[str], into: list[str]) -> None:
    """The output of one command as the input of another. Raises RestoreFailed with what they said."""
    source = subprocess.Popen(dump, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    written = subprocess.run(into, stdin=source.stdout, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    if source.stdout:
        source.stdout.close()  # or a dump that nobody reads any more would wait for ever
    said = source.stderr.read().decode() if source.stderr else ""
    if source.wait() or written.returncode:
        raise RestoreFailed(f"pg_dump: {said.strip()} {written.stderr.decode().strip()}")


def contents(session: Session, source: ScratchServer, database: str, options: Sequence[str]) -> list[Entry]:
    """What a dump of the database holds. The server is not written to, so that the next dump numbers its objects alike."""
    listing = shlex.join(command(SCRATCH, "pg_restore", "--list"))
    said = session.run(source.host, f"{source.dump(database, options)} | {listing}", timeout=600)
    return [entry(line) for line in said.splitlines() if line and not line.startswith(";")]


def entry(line: str) -> Entry:
    """Read `3500; 0 16390 TABLE public users jeex_idea_owner`."""
    number, _, rest = line.partition(";")
    what, _, owner = rest.split(maxsplit=2)[2].rpartition(" ")
    return Entry(number.strip(), what, owner)


def loadable(entries: Sequence[Entry], name: str, report: Report) -> list[Entry]:
    """The entries without what the superuser owns: extensions, which are there, and rights on them, which provisioning gives.
    Whatever else is left out is reported."""
    left = [each for each in entries if each.owner == SUPERUSER or each.what.startswith(OF_EXTENSIONS)]
    for each in left:
        if not each.what.startswith((*OF_EXTENSIONS, "ACL ")):
            report(f"{name}: left out, because the superuser owns it: {each.what}")
    return [each for each in entries if each not in left]
