"""The step `converge`: one stage of roles on every host."""

from __future__ import annotations

from typing import Any

from environment.derive import Roots
from environment.manifest import Manifest
from environment.report import Report
from ops.converge.run import converge
from ops.hosts.session import Session
from roles.kit.effects import foreseen, sentences
from roles.order import of_stage

PLACEHOLDER = "a placeholder for a secret"
"""Both sides of a comparison are rendered with it."""


def foresee(olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    """What the step will do to running services, as sentences, when its inputs change. Asks no host, needs no secret."""
    return sentences(foreseen(of_stage(news["stage"]), _side(olds), _side(news), frozenset(news["made"])))


def _side(inputs: dict[str, Any]) -> tuple[Manifest, Roots]:
    """The keys of the second repository are replaced by their mark, so that other keys are a difference."""
    manifest, mark = Manifest.from_slice(inputs["manifest"]), inputs.get("credentials") or PLACEHOLDER
    return manifest, Roots(manifest.identity.name, *(PLACEHOLDER,) * 3, s3_key=mark, s3_secret=mark)


def apply(session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Carry out the stage. The outcome is reported as progress; nothing that differs between two runs is recorded."""
    outcome = converge(session, [inputs["stage"]], report)
    report(f"{inputs['stage']}: {len(outcome.changes)} of {outcome.operations} operations changed something")
    return {}


def observe(session: Session, inputs: dict[str, Any]) -> list[str]:
    """What is out of place, as `host: operation`; `host: unreachable` for a host that does not answer."""
    outcome = converge(session, [inputs["stage"]], lambda _: None, dry=True)
    return sorted([*outcome.changes, *(f"{host}: unreachable" for host in outcome.unreachable)])
