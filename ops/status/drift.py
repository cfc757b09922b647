"""What differs from the model: containers, hosts and databases. Changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from db.difference import Difference
from environment.errors import explained
from environment.report import Report
from environment.types import Provider
from ops.converge.client import run
from ops.hosts.session import Session
from ops.products import databases, migrations
from ops.state import drift as containers

TOGETHER = 3
"""Databases that are looked at at a time."""


@dataclass(frozen=True)
class Drift:
    """What was found, and what could not be read."""

    resources: tuple[str, ...] = ()
    """Containers, volumes and networks that are not as Pulumi asked for them."""
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
        resources, unread = _resources(session)
        unknown += unread
        try:
            outcome = hosts.result()
        except Exception as error:
            return Drift(resources, databases=databases, unknown=(*unknown, _sentence(error)))
    unreachable = (f"{name}: unreachable" for name in outcome.unreachable)
    return Drift(resources, tuple(sorted(outcome.changes)), databases, (*unreachable, *unknown))


def _resources(session: Session) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the environments whose hosts are containers."""
    if session.manifest.identity.provider is not Provider.DOCKER:
        return (), ()
    try:
        return tuple(containers.look(session.manifest.identity.name)), ()
    except Exception as error:
        return (), (_sentence(error),)


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
