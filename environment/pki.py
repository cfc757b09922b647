"""The environment's authority and the certificates it signs: ECDSA P-256, leaf keys stay on their hosts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
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

LEAF_VALIDITY = timedelta(days=397)
LEAF_RENEWAL = timedelta(days=60)
"""A leaf with less than this left is signed again by the next converge."""


def ca_certificate(roots: Roots, generation: int = 1) -> str:
    """The authority's certificate (PEM). Byte-stable for the same root and generation."""
    key = roots.ca_key(generation)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Keel CA {roots.environment} {generation}")])
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


def sign_leaf(roots: Roots, request_pem: str, names: Iterable[str], now: datetime, generation: int = 1) -> str:
    """A server and client certificate (PEM) for the key of ``request_pem``.

    Names come from the manifest (``names``: DNS names and addresses, the first becomes the subject), never from
    the request. Raises ValueError when the request's signature is wrong.
    """
    request = x509.load_pem_x509_csr(request_pem.encode())
    if not request.is_signature_valid:
        raise ValueError("the certificate request's signature does not fit its key")
    wanted = list(names)
    ca = x509.load_pem_x509_certificate(ca_certificate(roots, generation).encode())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted[0])]))
        .issuer_name(ca.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LEAF_VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in wanted]), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), critical=False)  # type: ignore[arg-type]
        .sign(roots.ca_key(generation), hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def leaf_fault(roots: Roots, leaf_pem: str, names: Iterable[str], now: datetime, generation: int = 1) -> str | None:
    """Why ``leaf_pem`` is not the certificate it should be, or None when it is."""
    try:
        leaf = x509.load_pem_x509_certificate(leaf_pem.encode())
    except ValueError:
        return "it is not a certificate"
    authority = roots.ca_key(generation).public_key()
    try:
        authority.verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return "it was not signed by this environment's authority"
    try:
        present = set(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        present = set()
    if present != {_general_name(name) for name in names}:
        return "its names differ"
    if leaf.not_valid_after_utc - now < LEAF_RENEWAL:
        return f"it ends on {leaf.not_valid_after_utc:%Y-%m-%d}"
    return None


def public_key_pem(leaf_pem: str) -> str:
    """The public key of a certificate (PEM), to compare with the key on the host."""
    key = x509.load_pem_x509_certificate(leaf_pem.encode()).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
