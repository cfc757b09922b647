"""Everything secret, derived from three roots (design, principle 6).

A value is HKDF-SHA-256 over a root with the context (environment, purpose, name, generation): the same stack
and passphrase give the same passwords, keys and authority after a rebuild.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from environment.errors import UNCHANGED, KeelError
from environment.kind import Kind

PUBLISHED_ROOTS = {
    "access": "keel-published-root-access-for-dev-and-ci-only",
    "pki": "keel-published-root-pki-for-dev-and-ci-only",
    "backup": "keel-published-root-backup-for-dev-and-ci-only",
}
"""Known to everybody, so that dev and ci need no secret; staging and production refuse them."""

CREDENTIALS = ("s3_key", "s3_secret")
"""What the second repository's provider gave out: secrets that nothing can be derived from, nor they from anything."""
SECRETS = (*PUBLISHED_ROOTS, *CREDENTIALS)
"""Everything that is kept as a Pulumi secret."""

MINIMUM_ROOT_LENGTH = 32
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class RefusedRoots(KeelError):
    """A secret is absent, too short, or published where it must not be."""


@dataclass(frozen=True)
class Roots:
    """The secrets of one environment: three roots, and the second repository's keys. Never printed: repr shows no value."""

    environment: str
    access: str
    pki: str
    backup: str
    s3_key: str = ""
    s3_secret: str = ""

    def __repr__(self) -> str:
        return f"Roots({self.environment})"

    def secrets(self) -> dict[str, str]:
        """Every secret by its name, to be handed to a program that makes the same roots of them."""
        return {name: getattr(self, name) for name in SECRETS}

    def _derive(self, root: str, purpose: str, name: str, generation: int, length: int) -> bytes:
        context = "/".join((self.environment, purpose, name, str(generation)))
        return HKDF(hashes.SHA256(), length, salt=b"keel", info=context.encode()).derive(root.encode())

    def password(self, name: str, generation: int = 1) -> str:
        """Password of the login role or service ``name``: 32 URL-safe characters, 192 bits."""
        raw = self._derive(self.access, "password", name, generation, 24)
        return base64.urlsafe_b64encode(raw).decode()

    def ssh_key(self, name: str, generation: int = 1) -> ed25519.Ed25519PrivateKey:
        """Ed25519 key: ``controller`` is the client's, any other name is that host's."""
        return ed25519.Ed25519PrivateKey.from_private_bytes(self._derive(self.access, "ssh", name, generation, 32))

    def ca_key(self, generation: int = 1, authority: str = "root") -> ec.EllipticCurvePrivateKey:
        """The P-256 key of an authority (Ed25519 would break SCRAM channel binding, design)."""
        raw = self._derive(self.pki, "ca", authority, generation, 48)
        return ec.derive_private_key(int.from_bytes(raw, "big") % (_P256_ORDER - 1) + 1, ec.SECP256R1())

    def cipher(self, generation: int, name: str = "repository") -> str:
        """Passphrase of the repository ``name`` of that generation: 64 URL-safe characters, 384 bits."""
        raw = self._derive(self.backup, "cipher", name, generation, 48)
        return base64.urlsafe_b64encode(raw).decode()

    def credentials_mark(self) -> str:
        """Changes when the second repository's keys do and reveals nothing about them: an input that runs a step again."""
        return self._derive(self.backup, "mark", f"{self.s3_key}\n{self.s3_secret}", 1, 8).hex()

    def token(self, name: str, generation: int = 1) -> str:
        """Cluster token ``name`` (etcd), 32 hexadecimal characters; not a secret by itself."""
        return self._derive(self.access, "token", name, generation, 16).hex()


def roots_for(environment: str, kind: Kind, given: dict[str, str], second: bool = False) -> Roots:
    """The secrets of an environment: those ``given``, in dev and ci the published roots where none is given.

    With a ``second`` repository its keys are needed. Raises :class:`RefusedRoots` with every problem in one message.
    """
    if problems := refused_roots(kind, given, second):
        raise RefusedRoots("\n".join(["secrets refused", *(f"  {problem}" for problem in problems)]), UNCHANGED)
    chosen = _chosen(kind, given)
    return Roots(environment, **{name: chosen.get(name, "") for name in SECRETS})


def refused_roots(kind: Kind, given: dict[str, str], second: bool = False) -> list[str]:
    """A sentence for each secret that :func:`roots_for` refuses; none holds its value."""
    chosen = _chosen(kind, given)
    problems = []
    for name in PUBLISHED_ROOTS:
        value = chosen.get(name)
        if not value:
            problems.append(f"keel:{name} is not set: pulumi config set --secret keel:{name} (openssl rand -base64 48)")
        elif kind.guarded and value in PUBLISHED_ROOTS.values():
            problems.append(f"keel:{name} is the published root of dev and ci; {kind.value} needs its own secret")
        elif len(value) < MINIMUM_ROOT_LENGTH:
            problems.append(f"keel:{name} has {len(value)} characters; at least {MINIMUM_ROOT_LENGTH} are needed")
    for name in CREDENTIALS if second else ():
        if not chosen.get(name):
            problems.append(
                f"keel:{name} is not set, and repository.second needs it: pulumi config set --secret keel:{name}"
            )
    return problems


def _chosen(kind: Kind, given: dict[str, str]) -> dict[str, str]:
    return dict(given) if kind.guarded else {**PUBLISHED_ROOTS, **given}


def private_openssh(key: ed25519.Ed25519PrivateKey) -> str:
    """OpenSSH's private key file for ``key`` (unencrypted: callers keep it at mode 0600)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode()


def public_openssh(key: ed25519.Ed25519PrivateKey) -> str:
    """OpenSSH's one-line public key for ``key``."""
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
