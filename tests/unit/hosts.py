"""Hosts, a server and a clock that answer what a test describes. Strict: what it did not describe fails it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import psycopg
import pytest
from psycopg.sql import Composable

from environment.names import LOOK, RESTORE
from environment.types import Group
from ops.hosts.session import Session, Superuser
from tests.unit import cli_fakes

Answer = str | BaseException | Callable[[str], str] | list[Any]
"""What comes of a command: its output, an error, what a function makes of it, or one of these after the other."""
ANY = "any host"


NO_PRIMARY = subprocess.CalledProcessError(22, "curl")
"""What comes of asking a member that does not lead whether it does."""


class Ran(NamedTuple):
    """A command that was given to a host."""

    host: str
    command: str
    timeout: float
    """Seconds."""


def _outcome(answer: Any, asked: str) -> Any:
    if isinstance(answer, list):
        if not answer:
            raise AssertionError(f"the test describes fewer answers of {asked}")
        answer = answer.pop(0)
    if isinstance(answer, BaseException):
        raise answer
    return answer(asked) if callable(answer) else answer


@dataclass(frozen=True)
class Database(Superuser):
    """Connections as postgres, and as logins that look: a statement that contains a key of `rows` answers its value, the rows or an error, or
    one of an iterator after the other."""

    directory: Path = Path("/nowhere")
    rows: dict[str, Any] = field(default_factory=dict)
    executed: list[tuple[str, str, Any]] = field(default_factory=list)
    """Database, statement, parameters."""

    def connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        return cast("psycopg.Connection[tuple[Any, ...]]", _Connection(self, database))

    def restore(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """The same answers, and the statements are of the login that loads."""
        return cast("psycopg.Connection[tuple[Any, ...]]", _Connection(self, f"{database} as {RESTORE}"))

    def look(self, database: str, user: str = LOOK) -> psycopg.Connection[tuple[Any, ...]]:
        """The same answers, and the statements are of another login."""
        return cast("psycopg.Connection[tuple[Any, ...]]", _Connection(self, f"{database} as {user}"))


@dataclass
class _Rows:
    found: list[Any]

    def fetchone(self) -> Any:
        return self.found[0] if self.found else None

    def fetchall(self) -> list[Any]:
        return self.found


@dataclass
class _Connection:
    server: Database
    database: str
    autocommit: bool = False

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        text = statement.as_string(None) if isinstance(statement, Composable) else statement
        text = text if isinstance(text, str) else text.decode()
        self.server.executed.append((self.database, text, parameters))
        if not self.autocommit and text.startswith(("create database", "drop database")):
            raise psycopg.errors.ActiveSqlTransaction(text)
        if not self.autocommit and "from pg_stat_" in text:
            raise AssertionError("within a transaction the statistics stand still")
        for part, answer in self.server.rows.items():
            if part in text:
                found = next(answer, AssertionError(f"too often: {text!r}")) if isinstance(answer, Iterator) else answer
                if isinstance(found, BaseException):
                    raise found
                return _Rows(found)
        raise AssertionError(f"the test describes no answer of {text!r}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        # Without autocommit the transaction has begun before.
        self.server.executed.append((self.database, "begin" if self.autocommit else "savepoint", None))
        yield

    @contextmanager
    def cursor(self) -> Iterator[_Connection]:
        yield self

    @contextmanager
    def copy(self, statement: Any) -> Iterator[list[bytes]]:
        """The answer as COPY writes it."""
        yield ["\t".join(map(str, row)).encode() + b"\n" for row in self.execute(statement).fetchall()]

    def commit(self) -> None:
        self.server.executed.append((self.database, "commit", None))


@dataclass(frozen=True)
class Hosts(Session):
    """A session whose hosts answer `says`: (host or ANY, a part of the command) → answer, the first that fits."""

    says: dict[tuple[str, str], Any] = field(default_factory=dict)
    ran: list[Ran] = field(default_factory=list)
    server: Database = field(default_factory=Database)
    programs: dict[str, str] = field(default_factory=dict)
    """Part of a long command → shell that stands for it, here."""

    def run(self, host: str, command: str, timeout: float = 60, given: str = "") -> str:
        self.manifest.host(host)  # it is one of the environment's
        self.ran.append(Ran(host, command, timeout))
        for (where, part), answer in self.says.items():
            if where in (host, ANY) and part in command:
                return str(_outcome(answer, command))
        raise AssertionError(f"the test describes no answer of {host} to {command!r}")

    def ssh(self, host: str, *command: str) -> list[str]:
        (text,) = command
        self.ran.append(Ran(host, text, 0))
        for part, program in self.programs.items():
            if part in text:
                return ["sh", "-c", program]
        raise AssertionError(f"the test describes no program of {host} for {text!r}")

    @contextmanager
    def superuser(self) -> Iterator[Superuser]:
        yield self.server

    def asked(self, part: str) -> list[tuple[str, float]]:
        """Host and patience of every command that contains `part`."""
        return [(host, timeout) for host, command, timeout in self.ran if part in command]


def hosts(folder: Path, patch: Mapping[str, Any] | None = None, stack: str = "dev", **details: Any) -> Hosts:
    """A real stack's hosts, which answer nothing that is not described."""
    made = cli_fakes.session(folder, patch, stack)
    return Hosts(made.manifest, made.roots, made.folder, **details)


def led_by(session: Hosts, leader: str | None) -> None:
    """Patroni's members say who leads."""
    for member in session.manifest.carrying(Group.POSTGRES):
        session.says[member.name, "/primary"] = "" if member.name == leader else NO_PRIMARY


class Clock:
    """Time that passes only while something waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        monkeypatch.setattr("environment.waiting.time", SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep))

    def _sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.waits.append(seconds)
        self.now = round(self.now + seconds, 6)


def nothing(_text: str) -> None:
    """A report that goes nowhere."""
