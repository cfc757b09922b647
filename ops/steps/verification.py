"""The step `verification`: run the suite under tests/verify against the environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from environment.errors import KeelError
from environment.load import ROOT
from environment.report import Report
from environment.waiting import NotReached, until
from ops.converge import trust
from ops.hosts.session import Session, Unreachable, export
from ops.steps.checks import SUITE, implied
from ops.steps.close_doors import finish
from roles.kit.declare import Trust

PROCESSES = 2
"""Half of the time one waits for the environment, or the environment for it."""
REQUIREMENT = re.compile(r"\b(?:PLAT|BAC|ADA|JEEX|CF|RIQ|X)-\d+\b")


class VerificationFailed(KeelError):
    """The environment is not what it should be: which requirements, which checks, what was found."""


@dataclass(frozen=True)
class Result:
    """What a run of the suite came to."""

    ran: list[str]
    """The checks that ran, as `ops.steps.checks.implied` names them."""
    failures: list[str]
    """Each `check: requirement sentence: what was found`."""
    implied: int
    """How many checks the manifest implies."""

    def __str__(self) -> str:
        return f"{len(self.ran)} of {self.implied} checks ran, {len(self.failures)} failed"


def apply(session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Raise VerificationFailed unless every check that the manifest implies ran and passed. Doors are closed first, if they are
    still open to the authority of an earlier release."""
    finish(session, report)
    _await_archive_attempt(session)
    report(f"verification: {len(implied(session.manifest))} checks")
    result = run(session)
    report(f"verification: {result}")
    if result.failures:
        ids = sorted({found for failure in result.failures for found in REQUIREMENT.findall(failure)})
        raise VerificationFailed(
            f"verification of {session.manifest.identity.name} failed: {result}, requirements "
            f"{', '.join(ids) or '(none named)'}\n" + "\n".join(f"  {failure}" for failure in result.failures),
            "What was done stays",
            "The next `pulumi up` carries every step out again and repairs what a step declares. Where a container or a volume was "
            f"changed by hand: pulumi up --refresh -s {session.manifest.identity.name}",
        )
    return {}


def _await_archive_attempt(session: Session) -> None:
    """After a failed attempt to archive, wait for the next, which PostgreSQL makes within a minute: a repository that came
    back in this very run is no failure. The verification reports the outcome."""

    def failed() -> bool:
        row = connection.execute("select last_failed_time > last_archived_time from pg_stat_archiver").fetchone()
        return bool(row and row[0])

    with (
        suppress(Unreachable, NotReached, psycopg.Error),
        session.superuser() as opened,
        opened.connect("postgres") as connection,
    ):
        connection.autocommit = True  # within a transaction the statistics stand still
        until(lambda: not failed(), 75, "the next attempt to archive", every=1)


def observe(session: Session, inputs: dict[str, Any]) -> list[str]:
    """The failed checks, one line each."""
    way = trust.found(session)
    open_ = [] if way is Trust.OWN else [f"doors still admit certificates of the common authority ({way})"]
    return open_ + sorted(failure.splitlines()[0] for failure in run(session).failures)


def run(session: Session, *targets: str) -> Result:
    """Run the suite, or only ``targets`` of it (arguments of pytest). Of the whole suite no check may be missing."""
    wanted = implied(session.manifest)
    parts = [targets] if targets else _parts(wanted)
    context = export(session)
    with tempfile.TemporaryDirectory(dir=session.folder) as folder:
        reports = [Path(folder, f"{number}.json") for number in range(len(parts))]
        running = [_pytest(context, report, part) for report, part in zip(reports, parts, strict=True)]
        found = [_report(process, report) for process, report in zip(running, reports, strict=True)]
    ran = [name for report in found for name in report["ran"]]
    failures = [failure for report in found for failure in report["failures"]]
    return Result(ran, failures if targets else failures + missing(wanted, ran), len(wanted))


def _parts(wanted: list[str]) -> list[tuple[str, ...]]:
    """The suite's files for each process, with about as many checks for one as for the other."""
    checks = Counter(name.partition(".")[0] for name in wanted)
    parts: list[list[Path]] = [[] for _ in range(PROCESSES)]
    for path in sorted(SUITE.glob("test_*.py"), key=lambda path: -checks[path.stem]):
        min(parts, key=lambda part: sum(checks[each.stem] for each in part)).append(path)
    return [tuple(map(str, part)) for part in parts if part]


def _pytest(context: Path, report: Path, targets: tuple[str, ...]) -> subprocess.Popen[str]:
    """Only the suite's own plugins and what it needs: the others' imports and collections of garbage take a second."""
    options = ("--tb=short", f"--confcutdir={SUITE}", "-p", "no:cacheprovider", "-p", "no:unraisableexception")
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *options, "-p", "pytest_timeout", *targets],
        cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "KEEL_CONTEXT": str(context), "KEEL_REPORT": str(report),
        },
    )  # fmt: skip


def _report(process: subprocess.Popen[str], report: Path) -> dict[str, list[str]]:
    said, _ = process.communicate()
    if process.returncode not in (0, 1) or not report.exists():
        return {
            "ran": [],
            "failures": [f"the suite did not run (pytest exit {process.returncode}): {said[-3000:]}"],
        }
    found: dict[str, list[str]] = json.loads(report.read_text())
    return found


def missing(wanted: list[str], ran: list[str]) -> list[str]:
    """A failure that names the checks which should have run and did not; none where all of them ran."""
    lost = [name for name in wanted if name not in set(ran)]
    if not lost:
        return []
    named = ", ".join(lost[:10]) + (f" and {len(lost) - 10} more" if len(lost) > 10 else "")
    return [
        f"verification: PLAT-49: {len(lost)} of {len(wanted)} checks that the manifest implies did not run: {named}"
    ]
