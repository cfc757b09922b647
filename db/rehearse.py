"""The way up, down and up again of the revisions that a checkout adds, on a throwaway database that its base has made (PLAT-27)."""

from typing import NamedTuple

import psycopg
from alembic import command
from alembic.script import Script, ScriptDirectory

from db import check, migrate
from db.url import conninfo
from environment.errors import UNCHANGED
from environment.products import Product
from environment.report import Report
from keel_host import catalogue

REPEATABLE = ("policy ", "grant ", "trigger ", "function ")
"""Lines of the catalogue that come from the .sql files at head, not from a revision."""


class Step(NamedTuple):
    """A revision, and the one below it; None before the first."""

    revision: str
    below: str | None


class Rehearsal(NamedTuple):
    """What was tried and what was found."""

    steps: list[Step]
    """From the oldest to the newest."""
    new: bool
    """False where the base has every revision: then the newest was tried."""
    findings: list[str]
    """A sentence for each thing that is not as it should be."""


def schema(url: str) -> dict[str, str]:
    """What revisions make: tables, columns, constraints, indexes, types, sequences, views."""
    with psycopg.connect(conninfo(url)) as connection:
        found = catalogue.read(connection)
    return {key: text for key, text in found.items() if not key.startswith(REPEATABLE)}


def rehearse(product: Product, url: str, report: Report) -> Rehearsal:
    """Take the migrator's database from where it is to head, back, and to head again. Raises MigrationError where it is at a revision
    that this checkout has not, or where the first way up fails."""
    start, head = migrate.current(product, url), migrate.head(product)
    _require_known(product, start)
    before = {start: schema(url)} if start != head else {}
    way = steps(product, start) or newest(product)
    for step in way:
        if start != head:
            report(f"{product.name}: up to {step.revision}")
        migrate.upgrade(product, url, target=step.revision)
        before[step.revision] = schema(url)
    findings, left = _at_head(product, url), list[str]()
    for step in reversed(way):
        report(f"{product.name}: down to {step.below or 'nothing'}")
        if problem := _down(product, url, step):
            return Rehearsal(way, start != head, [*findings, problem])
        if step.below in before:  # what one leaves is there below the others too
            new = [one for one in catalogue.differences(before[step.below], schema(url)) if one not in left]
            left += new
            findings += [f"{step.revision} leaves after its way down: {one}" for one in new]
    report(f"{product.name}: up to {head} again")
    try:
        findings += [found for found in _at_head(product, url) if found not in findings]
    except migrate.MigrationError as error:
        findings.append(f"the way up again: {error.problem}")
    return Rehearsal(way, start != head, findings)


def steps(product: Product, start: str | None) -> list[Step]:
    """From ``start`` to head. A merge of branches has no single revision below it: then all is one step."""
    script = ScriptDirectory.from_config(migrate.config(product))
    found = [*script.iterate_revisions(migrate.head(product), start or "base")][::-1]
    if any(isinstance(each.down_revision, tuple) for each in found):
        return [Step(found[-1].revision, start)]
    return [Step(each.revision, _below(each)) for each in found]


def newest(product: Product) -> list[Step]:
    """The newest revision alone."""
    head = ScriptDirectory.from_config(migrate.config(product)).get_revision(migrate.head(product))
    return [Step(head.revision, _below(head))] if head and not isinstance(head.down_revision, tuple) else []


def _require_known(product: Product, start: str | None) -> None:
    known = ScriptDirectory.from_config(migrate.config(product)).walk_revisions()
    if start and start not in (each.revision for each in known):
        raise migrate.MigrationError(
            f"{product.name}: the base is at revision {start}, which is not in this checkout's history: a database that has it "
            "could not be migrated",
            UNCHANGED,
            "Put the revision back, or bring the base's history into this branch",
        )


def _below(revision: Script) -> str | None:
    return revision.down_revision if isinstance(revision.down_revision, str) else None


def _at_head(product: Product, url: str) -> list[str]:
    """Upgrade to head with the reference rows, as `up` does, and compare with this checkout."""
    migrate.upgrade(product, url)
    migrate.seed(product, url, "reference", production=False)
    return [f"at head: {found.aspect}: {found.sentence}" for found in check.everything(product, url)]


def _down(product: Product, url: str, step: Step) -> str:
    """Take one revision back; why that failed. Its code is the checkout's: whatever it raises is what there is to say of it."""
    try:
        command.downgrade(migrate.config(product, url), step.below or "base")
    except NotImplementedError as error:
        return f"{step.revision} says that it has no way down: {str(error) or 'NotImplementedError'}"
    except Exception as error:
        return f"{step.revision} does not go down: {migrate.reason(error)}"
    return ""
