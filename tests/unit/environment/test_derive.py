"""Everything secret derives from three roots: the same again after a rebuild, different where anything differs."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from environment.derive import PUBLISHED_ROOTS, RefusedRoots, Roots, private_openssh, public_openssh, roots_for
from environment.kind import Kind

ROOTS = Roots(
    "test", "access root of the tests 0123456789", "pki root of the tests 0123456789", "backup root of the tests"
)


def number(key: ec.EllipticCurvePrivateKey) -> int:
    """The private number of a key."""
    return key.private_numbers().private_value


def raw(key: ed25519.Ed25519PrivateKey) -> bytes:
    """The private bytes of a key."""
    return key.private_bytes_raw()


def test_values_are_the_same_after_a_rebuild() -> None:
    """Design, principle 6. Recorded on 2026-11-22: another value here would lock everybody out."""
    again = replace(ROOTS)
    assert ROOTS.password("jeex_user") == again.password("jeex_user") == "slhMJIyLcFXi1J2lx-audR9fLe54uLx_"
    assert ROOTS.token("etcd") == again.token("etcd") == "2da80909c81999f68e35eb25532f294a"
    assert raw(ROOTS.ssh_key("db1")) == raw(again.ssh_key("db1"))
    assert (
        public_openssh(ROOTS.ssh_key("db1"))
        == "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJR6l9DNc2tq+Et45KzOPGdDgTuKOOl0jjxg5vzqHq4X"
    )
    assert f"{number(ROOTS.ca_key()):x}"[:16] == "9ab0c2bc30a39146"


def test_every_context_gives_another_value() -> None:
    """Environment, purpose, name and generation are all part of it."""
    values = [
        ROOTS.password("a"), ROOTS.password("b"), ROOTS.password("a", 2), replace(ROOTS, environment="other").password("a"),
        replace(ROOTS, access="another root of the tests 0123456789").password("a"), ROOTS.token("a"),
    ]  # fmt: skip
    assert len(set(values)) == len(values)
    keys = [raw(ROOTS.ssh_key("a")), raw(ROOTS.ssh_key("b")), raw(ROOTS.ssh_key("a", 2))]
    assert len(set(keys)) == 3
    authorities = [
        number(ROOTS.ca_key()),
        number(ROOTS.ca_key(2)),
        number(replace(ROOTS, environment="other").ca_key()),
    ]
    assert len(set(authorities)) == 3


def test_each_root_has_its_own_realm() -> None:
    """Rotating one leaves the others' values alone."""
    assert replace(ROOTS, pki="x" * 32).password("a") == ROOTS.password("a")
    assert number(replace(ROOTS, access="x" * 32).ca_key()) == number(ROOTS.ca_key())
    assert number(replace(ROOTS, pki="x" * 32).ca_key()) != number(ROOTS.ca_key())


def test_a_password_is_strong_and_fits_into_urls_and_files() -> None:
    """PLAT-11, BAC-38: 192 bits, no character that a URL, SQL or an ini file would read."""
    password = ROOTS.password("jeex_user")
    assert len(base64.urlsafe_b64decode(password)) == 24
    assert set(password) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_nothing_prints_a_root() -> None:
    roots = replace(ROOTS, s3_key="an access key", s3_secret="a secret key")
    text = f"{roots!r} {roots} {[roots]}"
    assert not any(value in text for value in (roots.access, roots.pki, roots.backup, roots.s3_key, roots.s3_secret))


def test_the_mark_of_the_second_repositorys_keys_changes_with_them() -> None:
    """An update that brings other keys has a difference to show, and shows none of them."""
    roots = replace(ROOTS, s3_key="an access key", s3_secret="a secret key")
    marks = {
        each.credentials_mark()
        for each in (ROOTS, roots, replace(roots, s3_key="another"), replace(roots, s3_secret="another"))
    }
    assert len(marks) == 4 and roots.credentials_mark() == roots.credentials_mark()
    assert {len(mark) for mark in marks} == {16}
    assert not any(word in mark for mark in marks for word in ("access", "secret", "another"))


def test_each_repository_has_another_passphrase() -> None:
    """The key of one opens no other."""
    assert (
        len(
            {
                ROOTS.cipher(1),
                ROOTS.cipher(2),
                ROOTS.cipher(1, "second-repository"),
                ROOTS.cipher(2, "second-repository"),
            }
        )
        == 4
    )


def test_keys_are_written_as_openssh_reads_them() -> None:
    key = ROOTS.ssh_key("controller")
    read = serialization.load_ssh_private_key(private_openssh(key).encode(), None)
    assert isinstance(read, ed25519.Ed25519PrivateKey)
    assert raw(read) == raw(key)
    assert public_openssh(key).startswith("ssh-ed25519 AAAA")


def test_the_authoritys_key_is_p256() -> None:
    """Design: Ed25519 would break SCRAM channel binding."""
    assert ROOTS.ca_key().curve.name == "secp256r1"


@pytest.mark.parametrize("kind", [Kind.DEV, Kind.CI])
def test_open_environments_take_published_roots_and_their_own(kind: Kind) -> None:
    mixed = roots_for("test", kind, {"pki": "x" * 32})
    assert (mixed.access, mixed.pki) == (PUBLISHED_ROOTS["access"], "x" * 32)


@pytest.mark.parametrize("kind", Kind)
def test_a_short_root_is_refused_without_being_told(kind: Kind) -> None:
    given = {name: f"{name} " * 10 for name in PUBLISHED_ROOTS} | {"access": "hunter2"}
    with pytest.raises(RefusedRoots, match="keel:access has 7 characters; at least 32") as refused:
        roots_for("test", kind, given)
    assert "hunter2" not in str(refused.value)
    assert refused.value.left == "Nothing was changed"
