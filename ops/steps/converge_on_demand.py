"""The roles on demand, as `./keel converge` and `./keel drift` want them: any stages, any hosts, for real or dry."""

from __future__ import annotations

from typing import Any

from environment.report import Report
from ops.converge.run import all_stages, converge
from ops.converge.trust import way
from ops.hosts.session import Session


def apply(session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Carry out ``inputs["stages"]`` on ``inputs["hosts"]``, or only look where ``dry``; the outcome."""
    stages, hosts, dry = inputs["stages"], inputs["hosts"], inputs["dry"]
    whole = stages == all_stages() and len(hosts) == len(session.manifest.hosts)
    outcome = converge(session, stages, report, dry=dry, only=hosts, trust=way(session) if whole and not dry else ())
    return outcome.model_dump(mode="json")
