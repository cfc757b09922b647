"""Clients that write: one through the pooler all the time, remembering every acknowledged row, and one that fills WAL."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import psycopg
from psycopg.conninfo import make_conninfo

from environment.derive import Roots
from environment.manifest import Manifest
from environment.urls import product_urls, reached
from ops.hosts.session import Session
from tests.system.background import Background
from tests.system.by_hand import by_hand

EVER = datetime.min.replace(tzinfo=UTC)
EVERY = "select email from users where email like 'writer-%'"


@dataclass(frozen=True)
class Write:
    """One committed row: its commit lies between the two times."""

    began: datetime
    acknowledged: datetime


class Writer(Background):
    """Inserts users one by one, as a product would; ``acknowledged`` holds the e-mail of every committed one, in order,
    ``errors`` what it was refused with: the server's code or psycopg's name for it, and the message.

    ``pause``: seconds between two rows. ``direct``: past the pooler, at the port of the primary. ``anew``: a connection for each row.
    ``plain``: without TLS. ``patience``: seconds that a connection may take.
    """

    def __init__(
        self,
        manifest: Manifest,
        roots: Roots,
        pause: float = 0.02,
        *,
        direct: bool = False,
        anew: bool = False,
        plain: bool = False,
        patience: int = 5,
    ) -> None:
        self.url = product_urls(manifest, roots, manifest.products["jeex_idea"].product)["application"]
        if direct:
            pooled, primary = ("@{}:{}/".format(*reached(manifest, way)) for way in ("pgbouncer", "primary"))
            self.url = self.url.replace(pooled, primary)
        self.acknowledged: dict[str, Write] = {}
        self.errors: list[str] = []
        self._pause = pause
        self._anew = anew
        self.url = make_conninfo(self.url, connect_timeout=patience, **{"sslmode": "disable"} if plain else {})
        self._name = secrets.token_hex(4)
        self._news = threading.Condition()
        super().__init__()

    def await_rows(self, number: int, since: datetime = EVER, limit: float = 90) -> None:
        """Return once so many rows were written that began after ``since``. Raises AssertionError after ``limit`` seconds."""

        def written() -> bool:
            return sum(write.began > since for write in self.acknowledged.values()) >= number

        with self._news:
            found = self._news.wait_for(written, limit)
        assert found, (
            f"no {number} rows after {since} within {limit} s; of {len(self.acknowledged)} the last is {self.last}"
        )

    def longest_pause(self) -> float:
        """Seconds between two acknowledgements at the most."""
        times = [write.acknowledged for write in self.acknowledged.values()]
        return max((later - earlier).total_seconds() for earlier, later in pairwise(times))

    @property
    def last(self) -> Write | None:
        """The newest row that is known to be committed."""
        return next(reversed(self.acknowledged.values()), None)

    def _work(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                with psycopg.connect(self.url, autocommit=True) as connection:
                    while not self._stop.is_set():
                        number += 1
                        email = f"writer-{self._name}-{number}@test.example"
                        began = datetime.now(UTC)
                        with connection.transaction():
                            connection.execute("select auth.register_user(%s, %s)", (email, "Writer"))
                        with self._news:
                            self.acknowledged[email] = Write(began, datetime.now(UTC))
                            self._news.notify_all()
                        self._stop.wait(self._pause)
                        if self._anew:
                            break
            except psycopg.Error as error:
                self.errors.append(f"{error.sqlstate or type(error).__name__}: {error}")
                self._stop.wait(0.2)  # a switchover: connect again, as a product does


def written(session: Session) -> set[str]:
    """The e-mails of all writers' rows that are there."""
    with by_hand(session, "jeex_idea") as connection:
        return {str(row[0]) for row in connection.execute(EVERY)}


def forget_writes(session: Session) -> None:
    """Remove all writers' rows."""
    with by_hand(session, "jeex_idea") as connection:
        connection.execute("delete from users where email like 'writer-%'")
        connection.commit()


def complete_segments(session: Session, number: int) -> None:
    """Complete so many segments of WAL."""
    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        connection.autocommit = True
        for _ in range(number):
            connection.execute("select pg_logical_emit_message(false, 'keel', 'test')")
            connection.execute("select pg_switch_wal()")
