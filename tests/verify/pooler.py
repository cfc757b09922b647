"""Connections through PgBouncer, as an application makes them."""

from __future__ import annotations

import ssl
from typing import Any

import asyncpg
import psycopg

from environment.manifest import HostEntry
from environment.types import Group
from ops.hosts.session import Session
from tests.verify.tunnels import LOOPBACK, Tunnels


class Pooler:
    """The poolers of an environment; over TLS, each verified by its host's name or address."""

    def __init__(self, session: Session, tunnels: Tunnels) -> None:
        self.session = session
        self.tunnels = tunnels

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
        return psycopg.connect(
            host=at.name, hostaddr=LOOPBACK, port=port, user=role, dbname=database,
            password=password or self.session.roots.password(role), connect_timeout=10, **options,
        )  # fmt: skip

    async def connect_async(self, role: str, database: str) -> asyncpg.Connection:
        """An asyncpg connection with its default statement cache."""
        _, port = self._port(None)
        return await asyncpg.connect(
            host=LOOPBACK, port=port, user=role, password=self.session.roots.password(role), database=database,
            ssl=ssl.create_default_context(cafile=str(self.session.ca)), timeout=10,
        )  # fmt: skip
