"""Which services an environment's hosts started or reloaded, to compare with what a preview announced."""

from __future__ import annotations

import re

from ops.hosts.session import Session
from roles.kit.declare import Target
from roles.order import ROLES

ANNOUNCED = re.compile(r"([A-Za-z][\w' .-]*) (restarts|reloads) on ([\w, ]+)")
SERVER = (
    "psql -U postgres -XAtc \"select pg_postmaster_start_time() || '|' || pg_conf_load_time()\" 2>/dev/null || echo '|'"
)
Moments = dict[tuple[str, str], tuple[str, str]]
"""(host, service) → when it started, when it read its configuration."""


def announced(preview: str) -> dict[tuple[str, str], str]:
    """(host, service) → "restarts" or "reloads", from what a preview printed."""
    return {
        (host, service.strip()): does
        for service, does, hosts in ANNOUNCED.findall(preview)
        for host in hosts.strip().split(", ")
    }


def moments(session: Session) -> Moments:
    """Of every unit that the roles declare, and of PostgreSQL itself."""
    found: Moments = {}
    for host in session.manifest.hosts:
        target = Target(session.manifest, host, session.roots)
        units = [unit for role in ROLES.values() if role.runs_on(host) for unit in role.units(target)]
        for unit in units:
            started = session.run(host.name, f"systemctl show -P ActiveEnterTimestampMonotonic {unit.name}").strip()
            found[host.name, unit.title or unit.name] = (started, "")
            if unit.name == "patroni.service":
                server, _, read = session.run(host.name, SERVER).strip().partition("|")
                found[host.name, unit.title] = (f"{started} {server}", read)
    return found


def happened(before: Moments, after: Moments) -> dict[tuple[str, str], str]:
    """(host, service) → "restarts", or "reloads" for a PostgreSQL that read its configuration again."""
    changed = {who: (before[who], after[who]) for who in after if before[who] != after[who]}
    return {who: "restarts" if old[0] != new[0] else "reloads" for who, (old, new) in changed.items()}
