"""Converge an environment from a program that gevent has not patched."""

from __future__ import annotations

from collections.abc import Sequence

from environment.errors import UNCHANGED, KeelError
from environment.report import Report
from environment.roles import stages as all_stages
from ops.converge.outcome import Outcome
from ops.hosts.session import Session
from processes.step import run_step


class UnknownPlace(KeelError):
    """No such stage or host: what was asked for, and those there are."""


def run(
    session: Session, report: Report, *, dry: bool, stages: Sequence[str] = (), hosts: Sequence[str] = ()
) -> Outcome:
    """Carry out the roles, or say what they would change when ``dry``; all stages and hosts where none is named.

    Raises UnknownPlace before anything is asked, StepFailed when an operation failed or a host is in use.
    """
    _check("stage", stages, list(all_stages()))
    _check("host", hosts, [host.name for host in session.manifest.hosts])
    inputs = {
        "manifest": session.manifest.model_dump(mode="json"),
        "stages": [stage for stage in all_stages() if stage in (stages or all_stages())],
        "hosts": list(hosts) or [host.name for host in session.manifest.hosts],
        "dry": dry,
    }
    request = {
        "action": "converge-on-demand", "phase": "apply", "inputs": inputs, "roots": session.roots.secrets()
    }  # fmt: skip
    return Outcome.model_validate(run_step(request, report))


def _check(what: str, asked: Sequence[str], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            raise UnknownPlace(f"there is no {what} {name!r}; there are {', '.join(known)}", UNCHANGED)
