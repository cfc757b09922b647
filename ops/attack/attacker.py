"""The means of an attempt: shells under the accounts of services, and connections through the doors for clients."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import psycopg

from environment.manifest import HostEntry, Manifest
from environment.types import Group
from ops.hosts.session import Session, Unreachable

PATIENCE = 20
"""Seconds that one try may take on a host."""
LOOPBACK = "127.0.0.1"


class Answer(NamedTuple):
    """What a shell command on a host came to."""

    status: int
    text: str

    @property
    def last(self) -> str:
        """Its last line."""
        return (self.text.strip().splitlines() or [f"exit status {self.status}"])[-1][:200]


class Attacker:
    """Everything is tried from the environment's own hosts and from where Keel runs, against this environment alone."""

    def __init__(self, session: Session, stack: ExitStack) -> None:
        self.session = session
        self._stack = stack
        self._ways: dict[tuple[str, int], int] = {}
        self._opening = threading.Lock()

    @property
    def manifest(self) -> Manifest:
        """The environment's."""
        return self.session.manifest

    def carrying(self, group: Group) -> tuple[HostEntry, ...]:
        """The hosts of a group."""
        return tuple(self.manifest.carrying(group))

    def shell(self, host: str, script: str, account: str = "root") -> Answer:
        """A script on a host as an OS account. Raises Unreachable, or TimeoutExpired where it hangs."""
        become = f"setpriv --reuid={account} --regid=$(id -g {account}) --init-groups " if account != "root" else ""
        done = subprocess.run(
            self.session.ssh(host, f"timeout {PATIENCE} {become}sh"),
            input=script, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE + 10,
        )  # fmt: skip
        if done.returncode == 255 or done.stdout.startswith("setpriv:"):
            raise Unreachable(f"{host} gives no shell to {account}: {done.stdout.strip()}")
        return Answer(done.returncode, done.stdout)

    def way(self, host: HostEntry, port: int) -> int:
        """The local port that leads to a port of a host, at which the host's own address is seen."""
        with self._opening:
            if (host.name, port) not in self._ways:
                self._ways[host.name, port] = self._stack.enter_context(self.session.tunnel(host, port))
            return self._ways[host.name, port]

    def login(
        self,
        role: str,
        database: str,
        port: int,
        *,
        host: HostEntry | None = None,
        sslmode: str = "require",
        **more: Any,
    ) -> psycopg.Connection[Any]:
        """A session of a role with its right password, through a door of ``host`` (default: the first edge)."""
        at = host or self.carrying(Group.EDGE)[0]
        return psycopg.connect(
            host=LOOPBACK, port=self.way(at, port), user=role, password=more.pop("password", self.session.roots.password(role)),
            dbname=database, sslmode=sslmode, connect_timeout=10, autocommit=True, prepare_threshold=None, **more,
        )  # fmt: skip

    def refused(self, role: str, database: str, port: int, **more: Any) -> str:
        """Why a role does not get as far as a statement; "" where it does."""
        try:
            with self.login(role, database, port, **more) as connection:
                connection.execute("select 1")  # PgBouncer greets a client before it asks the server
        except psycopg.Error as error:
            return " ".join(str(error).split())[-200:]
        return ""


@contextmanager
def attacking(session: Session) -> Iterator[Attacker]:
    """An attacker, whose ways are closed at the end."""
    with ExitStack() as stack:
        yield Attacker(session, stack)
