"""Ways from here to the services' own addresses, which need not be routable from the controller."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from environment.manifest import HostEntry
from ops.hosts.session import Session

LOOPBACK = "127.0.0.1"
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""PostgreSQL's first message of a client that wants TLS; the server answers with one letter."""


class Tunnels:
    """Local ports that lead through a host's SSH connection to a port of that host, for as long as the session is open."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._open: dict[tuple[str, int], int] = {}

    def to(self, host: HostEntry, port: int) -> int:
        """The local port that leads to ``port`` at the address of ``host``."""
        if (host.name, port) not in self._open:
            self._open[host.name, port] = self._forward(host, port)
        return self._open[host.name, port]

    def _forward(self, host: HostEntry, port: int) -> int:
        if host.name not in {name for name, _ in self._open}:
            self.session.run(host.name, "true")  # the master connection that carries the tunnels
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            local = int(probe.getsockname()[1])
        forward = ["-L", f"{LOOPBACK}:{local}:{host.address}:{port}", host.name]
        subprocess.run(
            ["ssh", "-F", str(self.session.ssh_config), "-O", "forward", *forward], check=True, capture_output=True
        )
        return local

    def handshake(self, host: HostEntry, port: int, name: str, *, postgres: bool = False) -> str:
        """TLS version of a connection to ``port`` whose certificate is of this authority and for ``name``.

        Raises ssl.SSLError when it is not, ConnectionError when the service refuses TLS.
        """
        with self._secured(host, port, name, postgres) as secured:
            return str(secured.version())

    def ask(self, host: HostEntry, port: int, request: str) -> str:
        """The first line of what an HTTPS service answers to ``request`` (``GET /path``) without a certificate."""
        with self._secured(host, port, host.name, False) as secured:
            secured.sendall(f"{request} HTTP/1.0\r\nHost: {host.name}\r\nContent-Length: 0\r\n\r\n".encode())
            answer = secured.recv(4096)
            if not answer:
                raise ConnectionError(f"{host.name}:{port} closed the connection")
            return answer.decode(errors="replace").splitlines()[0]

    @contextmanager
    def _secured(self, host: HostEntry, port: int, name: str, postgres: bool) -> Iterator[ssl.SSLSocket]:
        context = ssl.create_default_context(cafile=str(self.session.ca))
        with socket.create_connection((LOOPBACK, self.to(host, port)), timeout=10) as plain:
            if postgres:
                plain.sendall(SSL_REQUEST)
                answer = plain.recv(1)
                if answer != b"S":
                    raise ConnectionError(f"{host.name}:{port} refuses TLS: {answer!r}")
            with context.wrap_socket(plain, server_hostname=name) as secured:
                yield secured
