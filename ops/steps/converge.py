"""The step `converge`: one stage of roles on every host."""

from __future__ import annotations

from typing import Any

from environment.report import Report
from ops.converge.run import converge
from ops.hosts.session import Session


def apply(session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Carry out the stage. The outcome is reported as progress; nothing that differs between two runs is recorded."""
    outcome = converge(session, [inputs["stage"]], report)
    report(f"{inputs['stage']}: {len(outcome.changes)} of {outcome.operations} operations changed something")
    return {}


def observe(session: Session, inputs: dict[str, Any]) -> list[str]:
    """What is out of place, as `host: operation`; `host: unreachable` for a host that does not answer."""
    outcome = converge(session, [inputs["stage"]], lambda _: None, dry=True)
    return sorted([*outcome.changes, *(f"{host}: unreachable" for host in outcome.unreachable)])
