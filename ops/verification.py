"""The step `verification`: run the suite under tests/verify against the environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ops.session import Session, export

ROOT = Path(__file__).parent.parent
REQUIREMENT = re.compile(r"\b(?:PLAT|BAC|ADA|JEEX|CF|RIQ|X)-\d+\b")


class VerificationFailed(Exception):
    """The environment is not what it should be: which requirements, which checks, what was found."""


def apply(session: Session, inputs: dict[str, Any], report: Any) -> dict[str, Any]:
    """Raise VerificationFailed unless every check passes."""
    report("verification runs")
    failures = run(session)
    if failures:
        ids = sorted({found for failure in failures for found in REQUIREMENT.findall(failure)})
        raise VerificationFailed(
            f"verification of {session.manifest.identity.name} failed: {len(failures)} check(s), requirements "
            f"{', '.join(ids) or '(none named)'}\n" + "\n".join(f"  {failure}" for failure in failures)
        )
    return {}


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
