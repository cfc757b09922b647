"""Connections through PgBouncer, as an application makes them."""

from __future__ import annotations

import ssl
from typing import Any

import asyncpg
import psycopg

from environment.manifest import HostEntry
from environment.types import Group
from environment.waiting import until
from ops.hosts.session import Session
from tests.verify.tunnels import LOOPBACK, Tunnels

FAILED_BEFORE = "server login has been failing, cached error"
"""What PgBouncer says to the first who come after a failure, even when that is mended: it logs in again because they came."""


class FailedBefore(Exception):
    """A connection that met an older failure."""


class Pooler:
    """The poolers of an environment; over TLS, each verified by its host's name or address."""

    def __init__(self, session: Session, tunnels: Tunnels) -> None:
        self.session = session
        self.tunnels = tunnels
        self._waited: set[tuple[str, str, str]] = set()
        """For whom the pooler was waited for: a failure that stays is waited for once."""

    def _port(self, edge: HostEntry | None) -> tuple[HostEntry, int]:
        at = edge or self.session.manifest.carrying(Group.EDGE)[0]
        return at, self.tunnels.to(at, self.session.manifest.ports.pgbouncer)

    def connect(
        self, role: str, database: str, edge: HostEntry | None = None, password: str | None = None, **options: Any
    ) -> psycopg.Connection[Any]:
        """A psycopg connection through ``edge``, by default the first; with the role's own password unless given.

        It prepares nothing unless asked to, so that only the tests of prepared statements depend on them.
        """
        at, port = self._port(edge)
        options = {"prepare_threshold": None, "sslmode": "verify-full", "sslrootcert": str(self.session.ca)} | options
        pool = (at.name, role, database)

        def attempt() -> psycopg.Connection[Any]:
            try:
                return psycopg.connect(
                    host=at.name, hostaddr=LOOPBACK, port=port, user=role, dbname=database,
                    password=password or self.session.roots.password(role), connect_timeout=10, **options,
                )  # fmt: skip
            except psycopg.OperationalError as error:
                if FAILED_BEFORE in str(error) and pool not in self._waited:
                    raise FailedBefore(str(error)) from error
                raise

        try:
            return attempt()
        except FailedBefore:
            return until(attempt, 5, f"{at.name}'s PgBouncer to log {role} in", every=0.2, despite=(FailedBefore,))
        finally:
            self._waited.add(pool)

    async def connect_async(self, role: str, database: str) -> asyncpg.Connection:
        """An asyncpg connection with its default statement cache."""
        self.connect(role, database).close()  # which waits for a pooler that failed before
        _, port = self._port(None)
        return await asyncpg.connect(
            host=LOOPBACK, port=port, user=role, password=self.session.roots.password(role), database=database,
            ssl=ssl.create_default_context(cafile=str(self.session.ca)), timeout=10,
        )  # fmt: skip
