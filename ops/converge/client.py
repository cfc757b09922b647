"""Converge an environment from a program that gevent has not patched (see ops/converge/worker.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from tempfile import TemporaryFile
from typing import Any

from environment.errors import UNCHANGED, KeelError
from environment.load import ROOT
from environment.report import Report
from environment.roles import stages as all_stages
from environment.types import Model
from ops.hosts.session import Session, export


class ConvergeStopped(KeelError):
    """The roles could not be carried out: host, operation, what it said."""


class UnknownPlace(KeelError):
    """No such stage or host: what was asked for, and those there are."""


class Outcome(Model):
    """What a run did, or would do when dry."""

    changes: tuple[str, ...]
    """`host: operation`, in order."""
    unreachable: tuple[str, ...]
    hosts: int
    operations: int

    @property
    def changes_by_host(self) -> Counter[str]:
        """Host → number of changes."""
        return Counter(change.partition(": ")[0] for change in self.changes)


def run(
    session: Session, report: Report, *, dry: bool, stages: Sequence[str] = (), hosts: Sequence[str] = ()
) -> Outcome:
    """Carry out the roles, or say what they would change when ``dry``; all stages and hosts where none is named.

    Raises UnknownPlace before anything is asked, ConvergeStopped when an operation failed or a host is in use.
    """
    _check("stage", stages, list(all_stages()))
    _check("host", hosts, [host.name for host in session.manifest.hosts])
    request = {
        "context": str(export(session)),
        "stages": [stage for stage in all_stages() if stage in (stages or all_stages())],
        "dry": dry,
        "only": list(hosts) or None,
    }
    # Its errors go to a file: a pipe that nobody reads would fill up and stop it.
    with TemporaryFile("w+") as errors, subprocess.Popen(
        [sys.executable, "-m", "ops.converge.worker"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
    ) as worker:  # fmt: skip
        for kind, value in _answers(worker, request):
            if kind == "outcome":
                return Outcome.model_validate(value)
            if kind == "error":
                raise ConvergeStopped(value)
            report(value)
        errors.seek(0)
        raise ConvergeStopped(f"converging ended without an answer: {errors.read()[-2000:]}")


def _answers(worker: subprocess.Popen[str], request: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What the worker says. It ends with its reader: nobody else would learn what it does to the hosts."""
    try:
        if worker.stdin and worker.stdout:
            with worker.stdin:
                json.dump(request, worker.stdin)
            for line in worker.stdout:
                yield from json.loads(line).items()
    finally:
        worker.terminate()


def _check(what: str, asked: Sequence[str], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            raise UnknownPlace(f"there is no {what} {name!r}; there are {', '.join(known)}", UNCHANGED)
