"""Where the minutes go, and why a test failed.

Each test, and each command that it runs, is a line of JSON in the file that KEEL_TEST_MINUTES names. Without the variable nothing is kept. A pytest plug-in (`-p tests.gate.minutes`); tests.gate reads what it kept.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KEPT = "KEEL_TEST_MINUTES"


def keep(kind: str, name: str, seconds: float, failed: str = "") -> None:
    """Add a line. One write each, so that processes can share the file. ``failed``: why."""
    if path := os.environ.get(KEPT):
        line = {"kind": kind, "name": name, "seconds": round(seconds, 3), "failed": failed}
        with Path(path).open("a") as file:
            file.write(json.dumps(line) + "\n")


@contextmanager
def measured(kind: str, name: str) -> Iterator[None]:
    """Keep how long the block takes, however it ends."""
    began = time.monotonic()
    try:
        yield
    finally:
        keep(kind, name, time.monotonic() - began)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep each phase of each test, once: where xdist runs, its controller hears what the workers report."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        keep(report.when or "", report.nodeid, report.duration, _why(report) if report.failed else "")


def _why(report: pytest.TestReport) -> str:
    """Where it failed, and with what."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return f"{Path(crash.path).name}:{crash.lineno}: {crash.message}" if crash else report.longreprtext
