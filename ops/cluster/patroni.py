"""Patroni, asked over SSH from the controller."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from environment.errors import KeelError
from environment.types import Group
from environment.waiting import until
from ops.hosts.session import Session, Unreachable
from roles.postgres.patroni import Ask, Member, command, members_of, order


class PatroniRefused(KeelError):
    """Patroni did not carry out an order: which one, where, what it said."""


ANSWERED_AN_ERROR = 22
"""curl's exit status."""


def ask(session: Session, host: str, path: str, data: Mapping[str, Any] | None = None) -> str:
    """What Patroni on ``host`` answers at ``path``; with ``data`` it is an order. Raises PatroniRefused when an order is refused,
    else as Session.run does."""
    try:
        return session.run(host, command(session.manifest, host, path, data), timeout=70)
    except subprocess.CalledProcessError as error:
        if data is None or error.returncode != ANSWERED_AN_ERROR:
            raise
        raise PatroniRefused(f"Patroni on {host} refused {path}: {error.stdout.strip()}") from error


def asking(session: Session) -> Ask:
    """:func:`ask`, for what is the same wherever Patroni is asked from."""
    return partial(ask, session)


def last_words(session: Session, host: str) -> str:
    """The members as they are, and what Patroni and etcd on ``host`` said last."""
    found = ", ".join(map(str, members(session))) or "no member answers"
    journal = "journalctl -u patroni.service -u etcd.service -n 8 --no-pager -o cat"
    return f"{found}\n{session.run(host, journal, timeout=15)}"


def members(session: Session) -> list[Member]:
    """Every PostgreSQL server, from the first member that answers; empty when none does."""
    for host in session.manifest.carrying(Group.POSTGRES):
        try:
            return members_of(session.manifest, ask(session, host.name, "/cluster"))
        except (Unreachable, subprocess.SubprocessError, json.JSONDecodeError):
            continue
    return []


def forget_slots(session: Session, servers: Iterable[str]) -> None:
    """Let Patroni drop the slots of members that left: for half an hour it keeps those of absent members, and makes again what
    another drops. Raises NotReached."""
    leader = session.leader().name
    slots = [server.lower().replace("-", "_") for server in servers]

    def keep(seconds: int | None) -> None:
        session.run(leader, order(session.manifest, leader, "/config", {"member_slots_ttl": seconds}, method="PATCH"))

    def dropped() -> bool:
        found = connection.execute("select 1 from pg_replication_slots where slot_name = any(%s)", [slots])
        return found.fetchone() is None

    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        connection.autocommit = True
        if dropped():
            return
        keep(0)
        try:
            until(dropped, 60, f"Patroni on {leader} to drop the slots {', '.join(slots)}")
        finally:
            keep(None)
