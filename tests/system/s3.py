"""A real S3 server over TLS, on the controller's machine, for as long as a test needs it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from ops.state.slots import reserve
from toolchain.cache import Cache
from toolchain.gomodule import GoProgram
from toolchain.system import System

PROGRAM = GoProgram(Path(__file__).parents[2] / "toolchain" / "versitygw", "github.com/versity/versitygw/cmd/versitygw")
BUCKET = "backups"


@dataclass
class S3:
    """The server, its bucket and its keys; its certificate is signed by an authority of its own."""

    folder: Path
    address: str
    """The address of this machine in the environment's network."""
    port: int = field(default_factory=lambda: reserve().port)
    key: str = field(default_factory=lambda: f"AK{secrets.token_hex(8)}", repr=False)
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        (self.folder / "data" / BUCKET).mkdir(parents=True)
        self.ca = _certificates(self.folder, self.address)

    @property
    def data(self) -> Path:
        """What the server keeps."""
        return self.folder / "data"

    @property
    def state(self) -> dict[str, str]:
        """The variables with which Pulumi keeps its state in the bucket."""
        (self.folder / "ca.pem").write_text(self.ca)
        where = f"endpoint=https://{self.address}:{self.port}&region=us-east-1&s3ForcePathStyle=true"
        return {
            "PULUMI_BACKEND_URL": f"s3://{BUCKET}?{where}",
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_CA_BUNDLE": str(self.folder / "ca.pem"),
        }

    def start(self) -> None:
        """Serve; returns when it does."""
        program = PROGRAM.build(System(os.environ), Cache.of(os.environ))
        tls = ("--cert", self.folder / "cert.pem", "--key", self.folder / "key.pem")
        store = ("posix", "--sidecar", self.folder / "meta", self.data)
        (self.folder / "meta").mkdir(exist_ok=True)
        variables = {**os.environ, "ROOT_ACCESS_KEY": self.key, "ROOT_SECRET_KEY": self.secret}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, "--quiet", "--port", f":{self.port}", *tls, *store],
                env=variables, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._await()

    def stop(self) -> None:
        """End it; connections are refused from now on."""
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def hang(self) -> None:
        """It goes on accepting connections and answers nothing."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    @retry(retry=retry_if_exception_type(OSError), stop=stop_after_delay(30), wait=wait_fixed(0.1), reraise=True)
    def _await(self) -> None:
        socket.create_connection(("127.0.0.1", self.port), 1).close()


def _certificates(folder: Path, address: str) -> str:
    """key.pem and cert.pem for ``address`` in ``folder``; the authority's certificate as PEM text."""
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _name("authority of the store")

    def certificate(subject: x509.Name, key: ec.EllipticCurvePublicKey, ca: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(address), x509.IPAddress(ip_address(address))]), False
            )
            .sign(authority, hashes.SHA256())
        )

    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate(_name(address), own.public_key(), ca=False).public_bytes(pem))
    (folder / "key.pem").write_bytes(
        own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate(issuer, authority.public_key(), ca=True).public_bytes(pem).decode()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
