"""The end of the way to doors with authorities of their own: every stage has made the first pass (ops/converge/trust.py)."""

from __future__ import annotations

from environment.report import Report
from ops.converge.trust import found
from ops.hosts.session import Session
from roles.kit.declare import Trust


def finish(session: Session, report: Report) -> None:
    """The second and third pass, where the environment is on its way."""
    if found(session) is Trust.OWN:
        return
    from ops.converge.run import all_stages, converge  # slow to import, and needed once

    converge(session, all_stages(), report, trust=(Trust.BOTH, Trust.OWN))
