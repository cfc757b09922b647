"""Migrate one product's database and compare it with this checkout (PLAT-26, PLAT-29, JEEX-25, JEEX-26).

Every URL is the migrator's and leads directly to the primary, never through the pooler (PLAT-21).
"""

import io
from datetime import UTC, datetime

import psycopg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, pool, text
from sqlalchemy.exc import SQLAlchemyError

from db import repeatable
from db.alembic_options import ID_LENGTH, OPTIONS
from db.difference import Difference
from db.models import metadata
from db.schema_lines import compare, describe, describe_models
from db.sessions import UNHURRIED, options
from db.url import conninfo, database_url
from environment.errors import UNCHANGED, KeelError
from environment.products import ROOT, Product, SeedSet, short

LOOKING = options({"role": "none", "search_path": "public", "quote_all_identifiers": "off", **UNHURRIED})
"""How a migrator's session begins that looks, whatever the owner has set for the database."""
INI = ROOT / "alembic.ini"


class MigrationError(KeelError):
    """A migration that did not happen: product, revision, the database's words, what was left, what to do."""


def config(product: Product, url: str | None = None, wait: float | None = None) -> Config:
    """Alembic's configuration for a product, as `alembic -n <product>` reads it."""
    made = Config(INI, ini_section=product.name, stdout=io.StringIO())
    for option in ("script_location", "version_locations"):  # they are relative, and this may run anywhere
        paths = (str(ROOT / path) for path in str(made.get_main_option(option)).splitlines())
        made.set_main_option(option, "\n".join(paths).replace("%", "%%"))
    made.attributes.update({"url": url} | ({} if wait is None else {"wait": wait}))
    return made


def head(product: Product) -> str:
    """The newest revision of this checkout. Raises MigrationError when there are several (JEEX-26)."""
    heads = ScriptDirectory.from_config(config(product)).get_heads()
    if len(heads) != 1:
        raise MigrationError(
            f"{product.name}: the history has {len(heads)} heads ({', '.join(heads)}) instead of one",
            UNCHANGED,
            f"Join them: alembic -n {product.name} merge heads --rev-id {next_id(product, 'merge')} -m merge",
        )
    return heads[0]


def next_id(product: Product, words: str) -> str:
    """The id of a new revision that does what ``words`` say: the number after the highest of the whole history, also where
    that branched or a merge has no number; or the time where its document says so (X-14)."""
    if product.revision_ids == "timestamp":
        front = datetime.now(UTC).strftime("%Y%m%d_%H%M")
    else:
        numbers = (short(known) for known in _known(product))
        front = f"{max((int(number) for number in numbers if number.isdecimal()), default=0) + 1:03}"
    return f"{front}_{words}"[:ID_LENGTH].rstrip("_")


def resolve(product: Product, revision: str | None) -> str:
    """The id of a revision that is named by it or by its beginning: 007; without one, head.

    Raises MigrationError when this checkout's history has no such revision, or several: two branches may have a 013.
    """
    if revision is None:
        return head(product)
    known = _known(product)
    named = [candidate for candidate in known if revision in (candidate, short(candidate))]
    if len(named) == 1 or revision in named:
        return revision if revision in named else named[0]
    problem = f"{len(named)} revisions are called {revision}" if named else f"there is no revision {revision}"
    raise MigrationError(
        f"{product.name}: {problem}",
        UNCHANGED,
        f"Name one of this checkout's history: {', '.join(sorted(named) or known)}",
    )


def current(product: Product, url: str) -> str | None:
    """The revision the database is at; None before the first. Raises MigrationError."""
    try:
        with _connect(url) as connection:
            return MigrationContext.configure(connection, opts=OPTIONS).get_current_revision()
    except (SQLAlchemyError, CommandError) as error:
        raise MigrationError(f"{product.name}: the revision cannot be read: {reason(error)}") from error


def upgrade(product: Product, url: str, *, target: str | None = None, wait: float | None = None) -> None:
    """Bring the database to `target`, an older revision that a stack is held at, or to head.

    Functions, policies and grants belong to head and are applied only there. Nothing happens when the database
    is there. Waits up to `wait` seconds (default: migrations.session.WAIT) for another migration. Each revision
    is a transaction: a failing one is rolled back, those before it stay. Raises MigrationError; before anything
    was changed when `target` is unknown or behind the database.
    """
    newest, target = head(product), resolve(product, target)
    _check_reachable(product, current(product, url), target)
    try:
        command.upgrade(config(product, url, wait), target)
        if target == newest:
            repeatable.apply(product, url)
    except (SQLAlchemyError, psycopg.Error, CommandError) as error:
        raise _failed(product, url, target, error) from error


def downgrade(product: Product, url: str, target: str) -> None:
    """Take the database back to an older revision; what its later ones added goes, with its rows. Raises MigrationError."""
    target = resolve(product, target)
    try:
        command.downgrade(config(product, url), target)
    except (SQLAlchemyError, psycopg.Error, CommandError, NotImplementedError) as error:
        raise _not_down(product, url, target, error) from error


def differences(product: Product, url: str) -> list[Difference]:
    """What the models have and the database has not, or the reverse; changes nothing (PLAT-29). Raises MigrationError."""
    try:
        with _connect(url) as connection:
            found = differences_of(connection, product)
            connection.rollback()
            return found
    except SQLAlchemyError as error:
        raise MigrationError(f"{product.name}: the models cannot be compared: {reason(error)}") from error


def differences_of(connection: Connection, product: Product) -> list[Difference]:
    """The same in a transaction that is open already; it must be rolled back afterwards."""
    connection.execute(text(f"set local role {product.owner_role}"))
    models = metadata(product)
    context = MigrationContext.configure(connection, opts=OPTIONS)
    by_alembic = compare_metadata(context, models)
    live = describe(connection, "public")
    # Alembic's words are for what no line of ours has.
    return compare(live, describe_models(connection, models)) or [
        Difference(f"autogenerate: {difference}") for difference in by_alembic
    ]


def seed(product: Product, url: str, which: SeedSet, *, production: bool) -> bool:
    """Insert a seed set as the migrator, in one transaction; False when there is no such set (PLAT-30).

    Running it again changes nothing. Raises MigrationError, also for demo rows in production.
    """
    if production and which != "reference":
        raise MigrationError(f"{product.name}: seed set {which} is not for production", UNCHANGED)
    path = product.seed_file(which)
    if not path.exists():
        return False
    try:
        with psycopg.connect(conninfo(url)) as connection:
            connection.execute(path.read_bytes())
    except psycopg.Error as error:
        raise MigrationError(
            f"{product.name}: {path.relative_to(ROOT)}: {reason(error)}",
            "No row of it was kept",
            "Correct the file or the rows it meets, then run it again",
        ) from error
    return True


def _connect(url: str) -> Connection:
    return create_engine(database_url(url), poolclass=pool.NullPool, connect_args={"options": LOOKING}).connect()


def _failed(product: Product, url: str, target: str, error: Exception) -> MigrationError:
    """Say what happened and how the database was left; itself robust against a database that is gone."""
    try:
        at = current(product, url)
    except MigrationError:
        return MigrationError(
            f"{product.name}: no migration to {target}: {reason(error)}\nThe database does not answer, so its revision is unknown",
            "A revision that had not ended was rolled back",
            "Run again when it answers",
        )
    if at == target:
        left = "functions, policies and grants are as they were"
    else:
        following = list(ScriptDirectory.from_config(config(product)).iterate_revisions(target, at or "base"))
        left = f"revision {following[-1].revision} was not applied, the database is at {at or 'no revision'}"
    return MigrationError(
        f"{product.name}: {left}: {reason(error)}",
        "Revisions before it stay",
        f"Remove the cause and run again: it goes on there. By hand: alembic -n {product.name} upgrade head",
    )


def _not_down(product: Product, url: str, target: str, error: Exception) -> MigrationError:
    """The same of a way down: a revision may also say that it has none."""
    try:
        at = f"at {current(product, url) or 'no revision'}"
    except MigrationError:
        at = "at an unknown revision: it does not answer"
    return MigrationError(
        f"{product.name}: the way down to {target} ended: {reason(error)}. The database is {at}",
        "The revision that failed was rolled back; those that went down before it stay down",
        f"Remove the cause and run again; `make up` goes up again. Without the way down: ./keel db rollback {product.name} --how restore",
    )


def _check_reachable(product: Product, at: str | None, target: str) -> None:
    """Refuse a target that no upgrade leads to from where the database is."""
    script = ScriptDirectory.from_config(config(product))
    if at and at not in _known(product):
        raise MigrationError(
            (
                f"{product.name}: the database is at revision {at}, which is not in this checkout's history: it "
                "belongs to a newer release or another branch"
            ),
            UNCHANGED,
            "Use the checkout that made it",
        )
    if at and at not in (revision.revision for revision in script.iterate_revisions(target, "base")):
        raise MigrationError(
            f"{product.name}: the database is at revision {at}, beyond {target}, where it should be held",
            UNCHANGED,
            (
                f"A downgrade takes data away. Hold it at {at} or later, or take a backup and go back by hand: "
                f"alembic -n {product.name} downgrade {target}"
            ),
        )


def _known(product: Product) -> list[str]:
    """Ids of this checkout's history, the first one first."""
    return [known.revision for known in ScriptDirectory.from_config(config(product)).walk_revisions()][::-1]


def reason(error: Exception) -> str:
    """The database's own words, where it was the database."""
    return str(getattr(error, "orig", None) or error).strip()
