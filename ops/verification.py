"""The step `verification`: run the suite under tests/verify against the environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from ops.session import Session, Unreachable, export

ROOT = Path(__file__).parent.parent
REQUIREMENT = re.compile(r"\b(?:PLAT|BAC|ADA|JEEX|CF|RIQ|X)-\d+\b")


class VerificationFailed(Exception):
    """The environment is not what it should be: which requirements, which checks, what was found."""


def apply(session: Session, inputs: dict[str, Any], report: Any) -> dict[str, Any]:
    """Raise VerificationFailed unless every check passes."""
    _await_archive_attempt(session)
    report("verification runs")
    failures = run(session)
    if failures:
        ids = sorted({found for failure in failures for found in REQUIREMENT.findall(failure)})
        raise VerificationFailed(
            f"verification of {session.manifest.identity.name} failed: {len(failures)} check(s), requirements "
            f"{', '.join(ids) or '(none named)'}\n" + "\n".join(f"  {failure}" for failure in failures)
        )
    return {}


def _await_archive_attempt(session: Session) -> None:
    """After a failed attempt to archive, wait for the next, which PostgreSQL makes within a minute: a repository that came
    back in this very run is no failure. What it comes to, the verification tells."""

    @retry(retry=retry_if_result(lambda failed: failed), stop=stop_after_delay(75), wait=wait_fixed(1),
           retry_error_callback=lambda state: False)  # fmt: skip
    def failed() -> bool:
        row = connection.execute("select last_failed_time > last_archived_time from pg_stat_archiver").fetchone()
        return bool(row and row[0])

    with suppress(Unreachable, psycopg.Error), session.superuser() as opened, opened.connect("postgres") as connection:
        connection.autocommit = True  # within a transaction the statistics stand still
        failed()


def observe(session: Session, inputs: dict[str, Any]) -> list[str]:
    """The failed checks, one line each."""
    return sorted(failure.splitlines()[0] for failure in run(session))


def run(session: Session, *targets: str) -> list[str]:
    """Run the suite, or only ``targets`` of it; each failure is `test: requirement sentence: what was found`."""
    context = export(session)
    with tempfile.TemporaryDirectory(dir=session.folder) as folder:
        report = Path(folder, "report.json")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *(targets or ("tests/verify",))],
            cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                "KEEL_CONTEXT": str(context), "KEEL_REPORT": str(report),
            },
        )  # fmt: skip
        if done.returncode not in (0, 1) or not report.exists():
            return [f"the suite did not run (pytest exit {done.returncode}): {(done.stdout + done.stderr)[-3000:]}"]
        return list(json.loads(report.read_text())["failures"])
