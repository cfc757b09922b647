"""Ways from here to the services' own addresses, which need not be routable from the controller."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from environment.manifest import HostEntry
from environment.pki import Authority, Leaf, ca_certificate, sign_leaf
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

    def handshake(
        self, host: HostEntry, port: int, name: str, *, postgres: bool = False, authority: Authority = Authority.COMMON
    ) -> str:
        """TLS version of a connection to ``port`` whose certificate is of this authority and for ``name``.

        Raises ssl.SSLError when it is not, ConnectionError when the service refuses TLS.
        """
        context = ssl.create_default_context(cadata=ca_certificate(self.session.roots, authority=authority))
        with self._secured(host, port, name, postgres, context) as secured:
            return str(secured.version())

    def cipher(
        self, host: HostEntry, port: int, ciphers: str, *, postgres: bool = False, door: Authority | None = None
    ) -> str:
        """The cipher that a service chooses of ``ciphers`` at TLS 1.2, asked with a certificate for ``door``. Raises ssl.SSLError
        when it takes none of them."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the system's authorities, which take 20 ms to load
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
        if door:
            context.load_cert_chain(self.pair(door))
        with self._secured(host, port, host.name, postgres, context) as secured:
            chosen = secured.cipher()
            return chosen[0] if chosen else ""

    def ask(self, host: HostEntry, port: int, request: str, authority: Authority = Authority.COMMON) -> str:
        """The first line of what an HTTPS service answers to ``request`` (``GET /path``) without a certificate."""
        context = ssl.create_default_context(cadata=ca_certificate(self.session.roots, authority=authority))
        with self._secured(host, port, host.name, False, context) as secured:
            secured.sendall(f"{request} HTTP/1.0\r\nHost: {host.name}\r\nContent-Length: 0\r\n\r\n".encode())
            answer = secured.recv(4096)
            if not answer:
                raise ConnectionError(f"{host.name}:{port} closed the connection")
            return answer.decode(errors="replace").splitlines()[0]

    def pair(self, door: Authority) -> Path:
        """A key pair that opens a door, in the session's folder: the controller holds the authorities."""
        path = self.session.folder / f"to-{door}.pem"
        if not path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
            wanted = Leaf("controller", ("controller",), door, enters=True)
            pem = request.public_bytes(serialization.Encoding.PEM).decode()
            private = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            path.touch(mode=0o600)
            path.write_text(private.decode() + sign_leaf(self.session.roots, pem, wanted, datetime.now(UTC)))
        return path

    @contextmanager
    def _secured(
        self, host: HostEntry, port: int, name: str, postgres: bool, context: ssl.SSLContext
    ) -> Iterator[ssl.SSLSocket]:
        with socket.create_connection((LOOPBACK, self.to(host, port)), timeout=10) as plain:
            if postgres:
                plain.sendall(SSL_REQUEST)
                answer = plain.recv(1)
                if answer != b"S":
                    raise ConnectionError(f"{host.name}:{port} refuses TLS: {answer!r}")
            with context.wrap_socket(plain, server_hostname=name) as secured:
                yield secured
