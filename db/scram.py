"""SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677) as PostgreSQL stores them in pg_authid.

A password leaves Keel only as a verifier: `log_statement = mod` (BAC-06) would write a clear one to the log.
"""

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode

ITERATIONS = 4096
"""PostgreSQL's own default; Keel's passwords are random, so more rounds would only slow down logins."""

_STORED = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")


def verifier(password: str, *, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """Build the string for `ALTER ROLE … PASSWORD`; the salt is random unless given.

    Raises ValueError for a password that is empty or not printable ASCII: SASLprep would change it.
    """
    if not password or not password.isascii() or not password.isprintable():
        raise ValueError("a password must be printable ASCII and not empty")
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    parts = (b64encode(part).decode() for part in (salt, stored_key, server_key))
    return "SCRAM-SHA-256${}:{}${}:{}".format(iterations, *parts)


def matches(password: str, stored: str | None) -> bool:
    """Whether `stored` (pg_authid.rolpassword) was made from this password.

    Recomputed with the salt and the rounds in `stored`, so that a current password is never altered.
    """
    found = _STORED.fullmatch(stored or "")
    if stored is None or found is None:
        return False
    expected = verifier(password, salt=b64decode(found[2]), iterations=int(found[1]))
    return hmac.compare_digest(expected, stored)
