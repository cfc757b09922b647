"""The firewall of each host: its table is what the one list of who may connect says."""

from __future__ import annotations

from difflib import unified_diff

from environment.manifest import HostEntry, Manifest
from ops.hosts.session import Session
from roles.firewall.role import LISTED, Firewall
from roles.kit.declare import Target
from tests.verify import expect
from tests.verify.look import Look


def test_the_table_in_force(host: HostEntry, look: Look, session: Session, manifest: Manifest) -> None:
    """PLAT-25, PLAT-41, W3: what the kernel has is what the model says, rule by rule."""
    wanted = Firewall().table(Target(manifest, host, session.roots)).splitlines()
    found = look.shell(host, f"{LISTED} 2>/dev/null || true").splitlines()
    differing = unified_diff(wanted, found, lineterm="", n=0)
    expect.nothing(
        f"{host.name}: {line.strip()}" for line in differing if line[0] in "+-" and line[:3] not in ("+++", "---")
    )
