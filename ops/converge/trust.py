"""How an environment from before its doors had authorities of their own comes to them without losing a connection.

Its hosts are converged one by one, so for a while old doors meet new key pairs and new doors meet old ones. The first pass
therefore makes doors that admit both authorities, and key pairs of the common one; the second signs every key pair again; the
third closes the doors to the common authority. `/etc/keel/trust` on each host says how far it is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ops.hosts.session import Session, Unreachable
from roles import paths
from roles.kit.declare import Trust

LOOK = f"cat {paths.TRUST} 2>/dev/null || {{ test ! -e {paths.CA} || echo {Trust.FORMER}; }}"
"""Shell: how far a host is; nothing on a new one. One that has the authority's certificate alone is from before."""


def found(session: Session, ask: Callable[[str], str] | None = None) -> Trust:
    """How far the environment is: as far as its last host. One that does not answer is left out."""
    hosts = [host.name for host in session.manifest.hosts]
    with ThreadPoolExecutor(len(hosts)) as pool:
        return least(pool.map(ask or (lambda host: asked(session, host)), hosts))


def least(said: Iterable[str]) -> Trust:
    """The first of the states that a host is in; the last where no host is in any."""
    there = {line.strip() for line in said}
    return next((trust for trust in Trust if trust in there), Trust.OWN)


def asked(session: Session, host: str) -> str:
    """How far a host is; nothing where it does not answer."""
    with suppress(Unreachable, subprocess.SubprocessError):
        return session.run(host, LOOK, timeout=20)
    return ""


def way(session: Session) -> tuple[Trust, ...]:
    """The passes that are left, the one that the environment is in included."""
    states = tuple(Trust)
    return states[states.index(found(session)) :]
