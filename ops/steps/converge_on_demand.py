"""The roles on demand, as `./keel converge` and `./keel drift` want them: any stages, any hosts, for real or dry."""

from __future__ import annotations

from typing import Any

from environment.report import Report
from ops.converge.run import converge
from ops.hosts.session import Session


def apply(session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Carry out ``inputs["stages"]`` on ``inputs["hosts"]``, or only look where ``dry``; the outcome."""
    outcome = converge(session, inputs["stages"], report, dry=inputs["dry"], only=inputs["hosts"])
    return outcome.model_dump(mode="json")
