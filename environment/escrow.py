"""The three roots under a passphrase of their own, to be kept where neither the repository nor its passphrase is (JEEX-30).

The sheet is JSON: environment, when it was made, and the roots sealed with AES-256-GCM under a key that scrypt makes of the
passphrase. Whoever holds sheet and passphrase can derive every password, key and certificate again.
"""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from environment.derive import Roots
from environment.errors import KeelError

COST = 2**17
"""scrypt's n: 128 MiB and a good part of a second for each guess."""
LEAST = 12
"""Characters of a passphrase."""


class SheetRefused(KeelError):
    """A sheet that is none, is another environment's, was changed, or does not open with this passphrase."""


def seal(roots: Roots, passphrase: str) -> str:
    """The sheet, as text. Raises SheetRefused for a passphrase of fewer than twelve characters."""
    if len(passphrase) < LEAST:
        raise SheetRefused(f"the passphrase has {len(passphrase)} characters; at least {LEAST} are needed")
    salt, nonce = os.urandom(16), os.urandom(12)
    inner = json.dumps({"access": roots.access, "pki": roots.pki, "backup": roots.backup})
    sealed = AESGCM(_key(passphrase, salt)).encrypt(nonce, inner.encode(), roots.environment.encode())
    sheet = {
        "environment": roots.environment,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **{name: base64.b64encode(value).decode() for name, value in (("salt", salt), ("nonce", nonce), ("roots", sealed))},
    }  # fmt: skip
    return json.dumps(sheet, indent=2) + "\n"


def unseal(sheet: str, environment: str, passphrase: str) -> Roots:
    """The roots of ``environment`` from its sheet. Raises SheetRefused."""
    try:
        held = json.loads(sheet)
        owner = held["environment"]
        salt, nonce, sealed = (base64.b64decode(held[name], validate=True) for name in ("salt", "nonce", "roots"))
    except (ValueError, TypeError, KeyError) as error:
        raise SheetRefused(f"this is no sheet of roots: {error!r}") from None
    if owner != environment:
        raise SheetRefused(f"the sheet is of the environment {owner}, not of {environment}")
    try:
        inner = json.loads(AESGCM(_key(passphrase, salt)).decrypt(nonce, sealed, environment.encode()))
    except InvalidTag:
        raise SheetRefused("the sheet does not open: another passphrase, or the sheet was changed") from None
    return Roots(environment, inner["access"], inner["pki"], inner["backup"])


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt, 32, COST, 8, 1).derive(passphrase.encode())
