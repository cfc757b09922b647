"""When certificates end, by what openssl says of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from environment.pki import LEAF_VALIDITY, sign_leaf
from keel_host import certificates
from keel_host.processes import Failed
from tests.unit.environment.test_pki import LEAF, ROOTS, request


def test_each_key_pair_has_its_end(tmp_path: Path) -> None:
    """W15."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    (tmp_path / "etcd").mkdir()
    (tmp_path / "etcd" / "cert.pem").write_text(sign_leaf(ROOTS, request(), LEAF, now))
    assert certificates.ends(tmp_path) == {"etcd": (now + LEAF_VALIDITY).timestamp()}


def test_what_is_no_certificate_is_an_error(tmp_path: Path) -> None:
    """And not one that never ends."""
    (tmp_path / "etcd").mkdir()
    (tmp_path / "etcd" / "cert.pem").write_text("nothing")
    with pytest.raises(Failed):
        certificates.ends(tmp_path)
