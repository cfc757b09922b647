"""The environment's authority and what it signs (PLAT-39)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from environment import pki
from environment.derive import Roots
from environment.pki import Authority, Leaf

ROOTS = Roots(
    "test", "access root of the tests 0123456789", "pki root of the tests 0123456789", "backup root of the tests"
)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAMES = ("db1", "primary.test", "10.1.0.11")
LEAF = Leaf("db1.postgres", NAMES, serves=True)
DOORS = [authority for authority in Authority if authority is not Authority.COMMON]


def request(name: str = "anybody") -> str:
    """A certificate request that asks for a name of its own choice."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return (
        made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def leaf(pem: str) -> x509.Certificate:
    """The certificate in ``pem``."""
    return x509.load_pem_x509_certificate(pem.encode())


def test_the_authority_is_the_same_to_the_byte() -> None:
    """Design: after a rebuild the leaves verify under the old CA file. Recorded on 2026-11-22."""
    first = pki.ca_certificate(ROOTS)
    assert first == pki.ca_certificate(replace(ROOTS))
    assert hashlib.sha256(first.encode()).hexdigest()[:16] == "bdcdbb997b6faf97"


def test_another_root_or_generation_is_another_authority() -> None:
    others = [
        pki.ca_certificate(ROOTS), pki.ca_certificate(ROOTS, 2), pki.ca_certificate(replace(ROOTS, pki="x" * 32)),
        pki.ca_certificate(replace(ROOTS, environment="other")),
    ]  # fmt: skip
    assert len(set(others)) == 4


RECORDED = {
    "patroni": "947575ed9326c171", "etcd": "78e65be5eb1def95", "etcd-peers": "8f257dfa21dbfda0", "pgbackrest": "a78a5e22124699d9"
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_a_leaf_enters_one_door(door: Authority) -> None:
    """W1: a door verifies what its own authority signed for entering, and nothing else, whatever the key pair is for."""
    policy = PolicyBuilder().store(Store([leaf(pki.ca_certificate(ROOTS, authority=door))])).time(NOW)
    verifier = policy.build_client_verifier()
    leaves = {
        (authority, enters): leaf(
            pki.sign_leaf(ROOTS, request(), Leaf("a", ("a",), authority, not enters, enters), NOW)
        )
        for authority in Authority
        for enters in (True, False)
    }
    admitted = []
    for who, signed in leaves.items():
        with suppress(VerificationError):
            verifier.verify(signed, [])
            admitted.append(who)
    assert admitted == [(door, True)]


def test_authorities_of_doors_are_their_own_and_stay() -> None:
    """A rebuild makes the same ones. Recorded on 2026-11-28."""
    made = {door: pki.ca_certificate(ROOTS, authority=door) for door in DOORS}
    digests = {door.value: hashlib.sha256(text.encode()).hexdigest()[:16] for door, text in made.items()}
    assert digests == RECORDED
    names = {leaf(text).subject.rfc4514_string() for text in made.values()}
    assert names == {f"CN=Keel CA test {door} 1" for door in DOORS}


@pytest.mark.parametrize("name", ["db1", "primary.test"])
def test_a_leaf_verifies_under_the_authority_for_its_names(name: str) -> None:
    """PLAT-39: a client that verifies in full accepts it, and for no other name."""
    signed = leaf(pki.sign_leaf(ROOTS, request(), LEAF, NOW))
    policy = PolicyBuilder().store(Store([leaf(pki.ca_certificate(ROOTS))])).time(NOW + timedelta(days=1))
    assert policy.build_server_verifier(x509.DNSName(name)).verify(signed, [])
    with pytest.raises(VerificationError):
        policy.build_server_verifier(x509.DNSName("db2")).verify(signed, [])


def test_names_come_from_the_manifest_not_from_the_request() -> None:
    """A host cannot ask to be somebody else."""
    signed = leaf(pki.sign_leaf(ROOTS, request("primary.production"), LEAF, NOW))
    assert signed.subject.rfc4514_string() == "CN=db1.postgres"
    names = signed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["db1", "primary.test"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.1.0.11"]


def test_a_leaf_cannot_sign() -> None:
    constraints = leaf(pki.sign_leaf(ROOTS, request(), LEAF, NOW)).extensions.get_extension_for_class(
        x509.BasicConstraints
    )
    assert constraints.value.ca is False


def test_a_request_with_a_wrong_signature_is_refused() -> None:
    """Whoever sent it does not hold the key."""
    der = bytearray(base64.b64decode("".join(request().splitlines()[1:-1])))
    der[-1] ^= 1
    forged = (
        f"-----BEGIN CERTIFICATE REQUEST-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE REQUEST-----\n"
    )
    with pytest.raises(ValueError, match="signature does not fit its key"):
        pki.sign_leaf(ROOTS, forged, LEAF, NOW)


def test_a_good_leaf_has_no_fault() -> None:
    signed = pki.sign_leaf(ROOTS, request(), LEAF, NOW)
    assert pki.leaf_fault(ROOTS, signed, replace(LEAF, names=NAMES[::-1]), NOW) is None


def test_a_leaf_is_for_what_it_is_asked_for_and_ends_in_time() -> None:
    """PLAT-39: a server's certificate of 397 days, valid an hour before now for clocks that are behind."""
    signed = leaf(pki.sign_leaf(ROOTS, request(), LEAF, NOW))
    assert (signed.not_valid_before_utc, signed.not_valid_after_utc) == (
        NOW - timedelta(hours=1), NOW + timedelta(days=397)
    )  # fmt: skip
    usage = signed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    constraints = signed.extensions.get_extension_for_class(x509.BasicConstraints)
    critical = {type(found.value): found.critical for found in signed.extensions}
    assert (constraints.critical, critical) == (True, {
        x509.BasicConstraints: True, x509.SubjectAlternativeName: False, x509.ExtendedKeyUsage: False,
        x509.AuthorityKeyIdentifier: False,
    })  # fmt: skip


def test_a_leaf_is_renewed_when_less_than_sixty_days_are_left() -> None:
    signed = pki.sign_leaf(ROOTS, request(), LEAF, NOW)
    last = NOW + timedelta(days=397 - 60)
    assert pki.leaf_fault(ROOTS, signed, LEAF, last) is None
    assert pki.leaf_fault(ROOTS, signed, LEAF, last + timedelta(seconds=1)) == "it ends on 2027-07-03"


FAULTS: dict[str, tuple[Callable[[], str], str]] = {
    "text": (lambda: "nothing", "not a certificate"),
    "another authority": (lambda: pki.sign_leaf(replace(ROOTS, pki="x" * 32), request(), LEAF, NOW), "not signed by"),
    "another generation": (lambda: pki.sign_leaf(ROOTS, request(), LEAF, NOW, 2), "not signed by"),
    "the authority itself": (lambda: pki.ca_certificate(ROOTS), "names differ"),
    "a name too few": (lambda: pki.sign_leaf(ROOTS, request(), replace(LEAF, names=NAMES[:2]), NOW), "names differ"),
    "a name too many": (
        lambda: pki.sign_leaf(ROOTS, request(), replace(LEAF, names=(*NAMES, "db2")), NOW),
        "names differ",
    ),
    "of the host, not of the service": (
        lambda: pki.sign_leaf(ROOTS, request(), replace(LEAF, subject="db1"), NOW),
        "names differ",
    ),
    "for another door": (
        lambda: pki.sign_leaf(ROOTS, request(), replace(LEAF, authority=Authority.ETCD), NOW),
        "not signed by",
    ),
    "enters too": (lambda: pki.sign_leaf(ROOTS, request(), replace(LEAF, enters=True), NOW), "usages differ"),
    "soon to end": (lambda: pki.sign_leaf(ROOTS, request(), LEAF, NOW - timedelta(days=338)), "it ends on 2026-07-"),
    "ended": (lambda: pki.sign_leaf(ROOTS, request(), LEAF, NOW - timedelta(days=500)), "it ends on 2026-"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_leaf_is_told(name: str) -> None:
    make, words = FAULTS[name]
    assert words in str(pki.leaf_fault(ROOTS, make(), LEAF, NOW))


def test_the_key_on_the_host_is_compared_with_its_certificate() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    signed = pki.sign_leaf(ROOTS, made.public_bytes(serialization.Encoding.PEM).decode(), LEAF, NOW)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert pki.public_key_pem(signed) == public.decode()
