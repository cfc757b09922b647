"""PgBouncer's console, spoken to over its socket in the simple protocol, which is all that it knows.

psql would be a process for each database, and a client waits for as long as they take to start.
"""

from __future__ import annotations

import os
import pwd
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from keel_host.processes import Failed

PROTOCOL = 196608
"""Version 3.0."""
ANSWERS_WITHIN = 5.0
"""Seconds."""
Row = dict[str, str]
SOCKET = ".s.PGSQL."
"""How the name of a PgBouncer's socket begins; its port follows."""


@dataclass(frozen=True)
class Pooler:
    """Where a PgBouncer of this edge answers."""

    folder: Path
    port: int


def poolers(sockets: Path) -> list[Pooler]:
    """The one that serves, and those that serve the clients that they have and leave (decision 18)."""
    found = (Pooler(path.parent, int(path.name.removeprefix(SOCKET))) for path in sorted(sockets.glob(f"*/{SOCKET}*")))
    return [each for each in found if _answers(each)]


def _answers(pooler: Pooler) -> bool:
    """A socket stays behind where its process was killed."""
    with socket.socket(socket.AF_UNIX) as attempt, suppress(OSError):
        attempt.settimeout(ANSWERS_WITHIN)
        attempt.connect(str(pooler.folder / f"{SOCKET}{pooler.port}"))
        return True
    return False


class Console:
    """A connection as the pooler's administrator. Commands are sent and answered one after the other."""

    def __init__(self, folder: Path, port: int, account: str) -> None:
        """``account``: the OS account that the pooler admits. Raises OSError where no pooler listens, Failed where it refuses."""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(ANSWERS_WITHIN)
        self._unread = b""
        with _effective(account):
            self.socket.connect(str(folder / f"{SOCKET}{port}"))
        parameters = b"".join(text.encode() + b"\0" for text in ("user", account, "database", "pgbouncer")) + b"\0"
        self.socket.sendall(struct.pack("!ii", len(parameters) + 8, PROTOCOL) + parameters)
        self.rows()

    def send(self, command: str) -> None:
        """Begin a command."""
        text = command.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack("!i", len(text) + 4) + text)

    def answers(self, seconds: float) -> bool:
        """Whether the answer has begun, within so many seconds."""
        return bool(self._unread or select.select([self.socket], [], [], max(0.0, seconds))[0])

    def rows(self) -> list[Row]:
        """The answer to what was sent. Raises Failed with what the pooler says, or where it ends the connection."""
        found: list[Row] = []
        names: list[str] = []
        refusal = ""
        while True:
            kind, body = self._message()
            if kind == b"T":
                names = list(_names(body))
            elif kind == b"D":
                found.append(dict(zip(names, _values(body), strict=True)))
            elif kind == b"E":
                fields = {part[:1]: part[1:] for part in body.split(b"\0") if part}
                refusal = fields.get(b"M", b"an error").decode()
            elif kind == b"R" and struct.unpack("!i", body[:4])[0]:
                raise Failed("PgBouncer's console asks for a password")
            # Before a session has begun, an error is the last word.
            if kind == b"Z" or (kind == b"E" and b"FATAL" in body):
                break
        if refusal:
            raise Failed(f"PgBouncer: {refusal}")
        return found

    def ask(self, command: str) -> list[Row]:
        """Send and read."""
        self.send(command)
        return self.rows()

    def close(self) -> None:
        """End the connection; what was commanded stays."""
        self.socket.close()

    def _message(self) -> tuple[bytes, bytes]:
        kind, length = struct.unpack("!ci", self._read(5))
        return kind, self._read(length - 4)

    def _read(self, size: int) -> bytes:
        while len(self._unread) < size:
            try:
                more = self.socket.recv(65536)
            except TimeoutError:
                raise Failed(f"PgBouncer did not answer within {ANSWERS_WITHIN:.0f} s") from None
            if not more:
                raise Failed("PgBouncer ended the connection")
            self._unread += more
        found, self._unread = self._unread[:size], self._unread[size:]
        return found


@contextmanager
def _effective(account: str) -> Iterator[None]:
    """As another account, for as long as it takes to be recognised by the other end of a socket."""
    before, wanted = os.geteuid(), pwd.getpwnam(account).pw_uid
    if before != wanted:
        os.seteuid(wanted)
    try:
        yield
    finally:
        if before != wanted:
            os.seteuid(before)


def _names(body: bytes) -> Iterator[str]:
    """The columns that a description of rows names."""
    at = 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        end = body.index(b"\0", at)
        yield body[at:end].decode()
        at = end + 19


def _values(body: bytes) -> Iterator[str]:
    """The values of a row; nothing is an empty text."""
    at = 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        (size,) = struct.unpack("!i", body[at : at + 4])
        at += 4
        yield body[at : at + size].decode() if size > 0 else ""
        at += max(size, 0)
