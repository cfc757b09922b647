"""The environment's authorities and the certificates they sign: ECDSA P-256, leaf keys stay on their hosts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from environment.derive import Roots

CA_NOT_BEFORE = datetime(2025, 1, 1, tzinfo=UTC)
CA_YEARS = 20
"""The authority's validity is fixed by its generation, not by the clock: a rebuild makes the same authority."""


class Authority(StrEnum):
    """Who signs. A door that asks only who signed a certificate has an authority of its own, so that a key pair opens one door."""

    COMMON = "root"
    """What clients verify: the certificates of servers."""
    PATRONI = "patroni"
    ETCD = "etcd"
    ETCD_PEERS = "etcd-peers"
    PGBACKREST = "pgbackrest"


@dataclass(frozen=True)
class Leaf:
    """What a certificate says. Its names are DNS names and addresses; it serves, or it enters a door, or both."""

    subject: str
    names: tuple[str, ...]
    authority: Authority = Authority.COMMON
    serves: bool = False
    enters: bool = False

    @property
    def usages(self) -> list[x509.ObjectIdentifier]:
        """The extended key usages."""
        usages = ((self.serves, ExtendedKeyUsageOID.SERVER_AUTH), (self.enters, ExtendedKeyUsageOID.CLIENT_AUTH))
        return [usage for wanted, usage in usages if wanted]


LEAF_VALIDITY = timedelta(days=397)
LEAF_RENEWAL = timedelta(days=60)
"""A leaf with less than this left is signed again by the next converge."""


def ca_certificate(roots: Roots, generation: int = 1, authority: Authority = Authority.COMMON) -> str:
    """An authority's certificate (PEM). Byte-stable for the same root and generation."""
    key = roots.ca_key(generation, authority)
    which = "" if authority is Authority.COMMON else f" {authority}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Keel CA {roots.environment}{which} {generation}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(generation)
        .not_valid_before(CA_NOT_BEFORE)
        .not_valid_after(CA_NOT_BEFORE.replace(year=CA_NOT_BEFORE.year + CA_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def sign_leaf(roots: Roots, request_pem: str, wanted: Leaf, now: datetime, generation: int = 1) -> str:
    """A certificate (PEM) for the key of ``request_pem``.

    What it says comes from the manifest, never from the request. Raises ValueError when the request's signature is wrong.
    """
    request = x509.load_pem_x509_csr(request_pem.encode())
    if not request.is_signature_valid:
        raise ValueError("the certificate request's signature does not fit its key")
    ca = x509.load_pem_x509_certificate(ca_certificate(roots, generation, wanted.authority).encode())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted.subject)]))
        .issuer_name(ca.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LEAF_VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in wanted.names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage(wanted.usages), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), critical=False)  # type: ignore[arg-type]
        .sign(roots.ca_key(generation, wanted.authority), hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def leaf_fault(roots: Roots, leaf_pem: str, wanted: Leaf, now: datetime, generation: int = 1) -> str | None:
    """Why ``leaf_pem`` is not the certificate it should be, or None when it is."""
    try:
        leaf = x509.load_pem_x509_certificate(leaf_pem.encode())
    except ValueError:
        return "it is not a certificate"
    authority = roots.ca_key(generation, wanted.authority).public_key()
    try:
        authority.verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return "it was not signed by the authority it needs"
    subject, present, usages = _said(leaf)
    if subject != wanted.subject or present != {_general_name(name) for name in wanted.names}:
        return "its names differ"
    if usages != set(wanted.usages):
        return "its usages differ"
    if leaf.not_valid_after_utc - now < LEAF_RENEWAL:
        return f"it ends on {leaf.not_valid_after_utc:%Y-%m-%d}"
    return None


def public_key_pem(leaf_pem: str) -> str:
    """The public key of a certificate (PEM), to compare with the key on the host."""
    key = x509.load_pem_x509_certificate(leaf_pem.encode()).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _said(leaf: x509.Certificate) -> tuple[str, set[x509.GeneralName], set[x509.ObjectIdentifier]]:
    """A certificate's subject, names and usages."""
    subject = str(leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    try:
        names = set(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        usages = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return subject, set(), set()
    return subject, names, usages


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
