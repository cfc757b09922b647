"""W3, W13: who is answered, and how what is said is encrypted."""

from __future__ import annotations

from collections.abc import Iterator

from environment.manifest import HostEntry
from environment.types import Group
from ops.attack.attacker import Attacker
from ops.attack.attempts import Tried, attempt, must_work

DOORS = (
    ("postgres", Group.POSTGRES),
    ("patroni", Group.POSTGRES),
    ("primary", Group.EDGE),
    ("replica", Group.EDGE),
    ("pgbouncer", Group.EDGE),
    ("redis", Group.REDIS),
    ("etcd_client", Group.ETCD),
    ("etcd_peer", Group.ETCD),
)
WEAK = {
    "CBC and SHA-1": "AES128-SHA:AES256-SHA:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA",
    "CBC": "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256",
    "CAMELLIA and ARIA": "CAMELLIA:ARIA",
}
"""What TLS 1.2 must not agree to: ciphers without authentication of what they encrypt."""


def _places(attacker: Attacker) -> Iterator[tuple[str, HostEntry, int]]:
    for door, group in DOORS:
        for host in attacker.carrying(group):
            yield door, host, getattr(attacker.manifest.ports, door)


@attempt("W13")
def weak_ciphers(attacker: Attacker) -> Iterator[Tried]:
    """No port agrees to a cipher with known weaknesses, or to a TLS older than 1.2."""
    own = {"postgres", "primary", "replica", "pgbouncer"}
    for door, host, port in _places(attacker):
        start = "-starttls postgres" if door in own else ""
        base = f"openssl s_client -connect {host.address}:{port} {start} </dev/null 2>&1 | grep -aE '^ *(New, TLS|Cipher *:)' | grep -v NONE | grep -v 0000"
        good = attacker.shell(host.name, base.replace("s_client", "s_client -tls1_2"))
        yield from must_work(f"TLS 1.2 at {door} of {host.name}", good.status == 0, good.last)
        for what, ciphers in WEAK.items():
            script = base.replace("s_client", f"s_client -tls1_2 -cipher '{ciphers}:@SECLEVEL=0'")
            answer = attacker.shell(host.name, script)
            yield Tried(f"{what} at {door} of {host.name}", answer.status == 0, answer.last)
        answer = attacker.shell(host.name, base.replace("s_client", "s_client -tls1_1 -cipher 'ALL:@SECLEVEL=0'"))
        yield Tried(f"TLS 1.1 at {door} of {host.name}", answer.status == 0, answer.last)
