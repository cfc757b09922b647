"""What differs from the model, on the hosts and in the databases. Changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from db.difference import Difference
from environment.errors import explained
from environment.report import Report
from ops.converge.client import run
from ops.hosts.session import Session
from ops.products import databases, migrations

TOGETHER = 3
"""Databases that are looked at at a time."""


@dataclass(frozen=True)
class Drift:
    """What was found, and what could not be read."""

    hosts: tuple[str, ...] = ()
    """`host: operation` that the roles would carry out."""
    databases: tuple[Difference, ...] = ()
    """`what` differs, and the SQL that would `undo` it, empty where no single statement does."""
    unknown: tuple[str, ...] = ()
    """What could not be read, and why."""


def look(session: Session, report: Report) -> Drift:
    """Hosts and databases at the same time, several of these together: each mostly waits for its server. What could not be
    read is part of the answer."""
    with ThreadPoolExecutor(1) as pool:
        hosts = pool.submit(lambda: run(session, report, dry=True))
        databases, unknown = _databases(session)
        try:
            outcome = hosts.result()
        except Exception as error:
            return Drift(databases=databases, unknown=(*unknown, _sentence(error)))
    unreachable = (f"{name}: unreachable" for name in outcome.unreachable)
    return Drift(hosts=tuple(sorted(outcome.changes)), databases=databases, unknown=(*unreachable, *unknown))


def _databases(session: Session) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    products = session.manifest.products
    looks = [
        partial(databases.differences, session),
        *(partial(migrations.differences, session, name) for name in products),
    ]
    found: list[Difference] = []
    unknown: list[str] = []
    with ThreadPoolExecutor(TOGETHER) as pool:
        for answer in [pool.submit(look) for look in looks]:
            try:
                found += answer.result()
            except Exception as error:
                unknown.append(_sentence(error))
    return tuple(found), tuple(unknown)


def _sentence(error: Exception) -> str:
    sentence = explained(error)
    if sentence is None:
        raise error
    return sentence
