"""What every TLS server of an environment offers: authenticated encryption with forward secrecy, and nothing else (W13)."""

from __future__ import annotations

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""OpenSSL's ciphers of TLS 1.2. Those of TLS 1.3 are all of this kind."""
SUITES = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
)
"""The same under the names that Go knows, for certificates with a key on an elliptic curve."""
